import { describe, expect, test } from "@jest/globals";
import { fill } from "../src/open-files.js";

describe("bytes passed to the system", () => {
  test("go in calls far below 2 GiB, whatever the system takes of them", async () => {
    // One array of 1 GiB, never touched, stands for all.
    const large = new Uint8Array(new ArrayBuffer(2 ** 30));
    const pieces = [large.subarray(0, 5), large, large.subarray(0, 0), large.subarray(7)];
    const total = pieces.reduce((sum, { length }) => sum + length, 0);
    let expected = 100;
    let most = 0;
    const done = await fill(pieces, 100, (some, at, callback) => {
      expect(at).toBe(expected);
      const length = some.reduce((sum, piece) => sum + piece.length, 0);
      most = Math.max(most, length);
      const taken = Math.ceil(length * 0.7);
      expected += taken;
      callback(null, taken);
    });
    expect(done).toBe(total);
    expect(most).toBeLessThanOrEqual(2 ** 28);
  });

  test.each([-5, 2 ** 33, Number.NaN])(
    "with a count of %d that cannot be: an error",
    async (count) => {
      await expect(
        fill([new Uint8Array(10)], 0, (_some, _at, done) => done(null, count)),
      ).rejects.toThrow("moved");
    },
  );

  test("of which none is taken: no endless loop", async () => {
    expect(await fill([new Uint8Array(10)], 0, (_some, _at, done) => done(null, 0))).toBe(0);
  });

  test("with more pieces than one call takes", async () => {
    const pieces = Array.from({ length: 3000 }, () => new Uint8Array(3));
    let calls = 0;
    const done = await fill(pieces, 0, (some, _at, callback) => {
      calls++;
      expect(some.length).toBeLessThanOrEqual(1024);
      callback(null, some.length * 3);
    });
    expect([done, calls]).toEqual([9000, 3]);
  });
});
