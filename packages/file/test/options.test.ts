import { expect, test } from "@jest/globals";
import { FileStore } from "@partd/file";

const ranges = {
  staleMs: [2000, 2 ** 31 - 1],
  lockTimeoutMs: [0, 2 ** 31 - 1],
  maxOpenFiles: [2, 2 ** 20],
};

test.each(Object.entries(ranges))(
  "%s out of its range is refused, and said so",
  (name, [min, max]) => {
    const wrong = [
      min! - 1,
      max! + 1,
      min! + 0.5,
      -1,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      "5000",
      null,
    ];
    for (const value of wrong) {
      const options = { [name]: value } as Record<string, number>;
      const message = `${name} must be an integer from ${min} to ${max}, not ${shown(value)}.`;
      expect(() => new FileStore("never made", options)).toThrow(
        expect.objectContaining({ code: "ERR_PARTD_VALUE", message }),
      );
    }
    for (const value of [min, max, undefined]) new FileStore("never made", { [name]: value });
  },
);

test.each([
  [{ fsinc: true }, "new FileStore() has no option fsinc. Did you mean fsync?"],
  [{ fsync: 5 }, "fsync must be true or false, not 5."],
  [{ create: "no" }, 'create must be true or false, not "no".'],
  [{ dir: 5 }, "dir must be a string, not 5."],
])("%p is refused", (options, message) => {
  expect(() => new FileStore("never made", options as object)).toThrow(
    expect.objectContaining({ code: "ERR_PARTD_VALUE", message }),
  );
});

test("a subclass has options of its own", () => {
  class Mine extends FileStore {}
  new Mine("never made", { fsync: true, mine: 1 } as object);
  expect(() => new Mine("never made", { fsync: 1 } as object)).toThrow("fsync must be true or");
});

/** As in a program's text. */
function shown(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

test("options in the place of the path are told where they go", () => {
  expect(() => new FileStore({ fsync: true } as never)).toThrow(
    "new FileStore() takes options behind the path, as in new FileStore(undefined, { dir: tmpdir() }).",
  );
});
