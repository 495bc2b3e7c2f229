import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import vm from "node:vm";
import { describe, expect, test } from "@jest/globals";
import { Dict } from "@partd/core";
import { concatBytes } from "@partd/core/author";
import fc from "fast-check";

describe("Dict", () => {
  test("a million appends of 100 bytes are blocks, not objects, and take 1.5 times their bytes", () => {
    const script = fileURLToPath(new URL("dict-memory.mjs", import.meta.url));
    const { stdout, stderr, status } = spawnSync(process.execPath, ["--expose-gc", script], {
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(stderr);
    const measured = JSON.parse(stdout) as Record<string, number>;
    expect(measured).toMatchObject({ payload: 1e8, read: 1e8, byteLength: 1e8 });
    expect(measured["heap"]).toBeLessThan(5e6);
    expect(measured["memory"]).toBeLessThan(1.5e8);
    expect(measured["resident"]).toBeLessThan(1.5e8);
  });

  test("get reads into the memory that it is given", async () => {
    await using store = new Dict();
    await store.append({ x: Uint8Array.of(1, 2, 3), y: Uint8Array.of(4) });
    const memory = new Uint8Array(8);
    const places: Uint8Array[] = [];
    const allocate = (byteLength: number) => {
      const start = places.reduce((sum, place) => sum + place.byteLength, 0);
      places.push(memory.subarray(start, start + byteLength));
      return places.at(-1) as Uint8Array;
    };
    const values = await store.get(["x", "none", "y", "x"], { allocate });
    expect(values.map((value, i) => value === places[i])).toEqual([true, true, true, true]);
    expect([...memory]).toEqual([1, 2, 3, 4, 1, 2, 3, 0]);
    await expect(store.get("x", { allocate: () => new Uint8Array(2) })).rejects.toMatchObject({
      code: "ERR_PARTD_VALUE",
    });
  });

  test("values of any lengths, deleted and appended amid streams, keep their bytes", async () => {
    const key = fc.constantFrom("a", "b", "c");
    const step = fc.oneof(
      { weight: 5, arbitrary: fc.record({ append: key, length: fc.nat(300_000) }) },
      { weight: 5, arbitrary: fc.record({ append: key, length: fc.nat(200) }) },
      { weight: 2, arbitrary: fc.record({ delete: key }) },
      { weight: 3, arbitrary: fc.record({ stream: key }) },
      { weight: 3, arbitrary: fc.record({ pull: fc.nat(5) }) },
      { weight: 1, arbitrary: fc.record({ leave: fc.nat(5) }) },
    ) as fc.Arbitrary<{
      append?: string;
      length?: number;
      delete?: string;
      stream?: string;
      pull?: number;
      leave?: number;
    }>;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60, size: "max" }), async (steps) => {
        const store = new Dict();
        const model = new Map<string, Uint8Array>();
        const streams: Reading[] = [];
        let byte = 0;
        for (const step of steps) {
          if (step.append !== undefined) {
            const bytes = new Uint8Array(step.length ?? 0).fill(++byte);
            await store.append({ [step.append]: bytes });
            model.set(
              step.append,
              concatBytes([model.get(step.append) ?? bytes.subarray(0, 0), bytes]),
            );
          } else if (step.delete !== undefined) {
            await store.delete(step.delete);
            model.delete(step.delete);
          } else if (step.stream !== undefined) {
            const expected = model.get(step.stream) ?? new Uint8Array(0);
            const reading = new Reading(store.stream(step.stream), expected);
            await reading.pull();
            streams.push(reading);
          } else if (step.pull !== undefined) {
            await streams[step.pull]?.pull();
          } else {
            await streams.splice(step.leave ?? 0, 1)[0]?.leave();
          }
        }
        for (const reading of streams) await reading.finish();
        for (const [key, bytes] of model) same(await store.get(key), bytes);
        let total = 0;
        for (const bytes of model.values()) total += bytes.byteLength;
        expect(store.byteLength).toBe(total);
        await store.drop();
        expect(store.memory).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  test("memory that was freed is used again", async () => {
    const store = new Dict();
    const value = new Uint8Array(100_000);
    await store.append({ kept: value });
    for (let i = 0; i < 400; i++) {
      await store.append({ [`k${i}`]: value.subarray(0, 1 + ((i * 7_919) % 100_000)) });
      if (i >= 10) await store.delete(`k${i - 10}`);
    }
    expect(store.memory).toBeLessThan(4e6);
  });

  test("takes bytes of another realm", async () => {
    const store = new Dict();
    const foreign = vm.runInNewContext("Uint8Array.of(1, 2, 3)") as Uint8Array;
    await store.append({ x: foreign });
    await store.append(
      vm.runInNewContext("new Map([['x', Uint8Array.of(4)]])") as Map<string, Uint8Array>,
    );
    await store.append(
      vm.runInNewContext("({ x: Uint8Array.of(5) })") as Record<string, Uint8Array>,
    );
    expect([...(await store.get("x"))]).toEqual([1, 2, 3, 4, 5]);
  });

  test("a get of much data rests, and can be given up meanwhile", async () => {
    const store = new Dict();
    await store.append({ x: new Uint8Array(8_000_000) });
    const controller = new AbortController();
    const getting = store.get(new Array<string>(60).fill("x"), { signal: controller.signal });
    setImmediate(() => controller.abort("reason"));
    await expect(getting).rejects.toBe("reason");
    expect((await store.get("x")).byteLength).toBe(8_000_000);
  });
});

/** A stream that is read now and then, and what it is to give. */
class Reading {
  readonly #pieces: AsyncIterator<Uint8Array>;
  readonly #expected: Uint8Array;
  #at = 0;
  #done = false;

  constructor(pieces: AsyncIterable<Uint8Array>, expected: Uint8Array) {
    this.#pieces = pieces[Symbol.asyncIterator]();
    this.#expected = expected;
  }

  async pull(): Promise<void> {
    const { value, done } = await this.#pieces.next();
    this.#done = done === true;
    if (done) return expect(this.#at).toBe(this.#expected.byteLength);
    same(value, this.#expected.subarray(this.#at, this.#at + value.byteLength));
    value.fill(0); // The pieces are the reader's own.
    this.#at += value.byteLength;
  }

  async finish(): Promise<void> {
    while (!this.#done) await this.pull();
  }

  async leave(): Promise<void> {
    await this.#pieces.return?.();
  }
}

function same(actual: Uint8Array, expected: Uint8Array): void {
  expect(Buffer.compare(actual, expected)).toBe(0);
}

test("keys that were cut out of long texts do not keep those alive", () => {
  const script = fileURLToPath(new URL("./key-slices.mjs", import.meta.url));
  const { stdout, stderr } = spawnSync(process.execPath, ["--expose-gc", script], {
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  expect(Number(stdout)).toBeLessThan(2_000); // The texts are of 20,000 characters.
});

test("an array whose memory was made shorter than where it lies is refused, not taken for none", async () => {
  const buffer = Reflect.construct(ArrayBuffer, [8, { maxByteLength: 8 }]) as ArrayBuffer & {
    resize(byteLength: number): void;
  };
  const [outside, rest] = [new Uint8Array(buffer, 4, 4), new Uint8Array(buffer)];
  buffer.resize(2);
  const p = new Dict();
  const refused = { code: "ERR_PARTD_VALUE", message: expect.stringMatching(/made shorter/) };
  await expect(p.append({ x: outside })).rejects.toMatchObject(refused);
  await expect(p.iset("x", outside)).rejects.toMatchObject(refused);
  await p.append({ x: rest });
  expect(await p.get("x")).toEqual(new Uint8Array(2));
});

test("what is no data and no key is named as it was given", async () => {
  const store = new Dict();
  const append = store.append.bind(store) as (...given: unknown[]) => Promise<void>;
  const example =
    "append takes an object, as in append({ key: value }), a Map or a list of [key, value] pairs";
  await expect(append("x", new Uint8Array(1))).rejects.toThrow(`${example}, not "x".`);
  await expect(append(undefined)).rejects.toThrow(`${example}, not undefined.`);
  await expect(store.get(undefined as never)).rejects.toThrow(
    "A key is a string or a tuple(…), not undefined.",
  );
  await expect(store.get(5 as never)).rejects.toThrow("not number 5.");
});
