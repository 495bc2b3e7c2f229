import { expect, test } from "@jest/globals";
import { LogStore } from "@partd/log";

test("a segmentSize out of its range is refused, and said so", () => {
  const wrong = [0, -1, 1.5, 2 ** 40 + 1, Number.NaN, Number.POSITIVE_INFINITY, "5000", null];
  for (const value of wrong) {
    const message = `segmentSize must be an integer from 1 to ${2 ** 40}, not ${shown(value)}.`;
    expect(() => new LogStore("never made", { segmentSize: value as number })).toThrow(
      expect.objectContaining({ code: "ERR_PARTD_VALUE", message }),
    );
  }
  for (const segmentSize of [1, 2 ** 40, undefined]) new LogStore("never made", { segmentSize });
});

test("a path is a string or a file: URL", () => {
  for (const path of ["", new URL("https://example.org/"), 5]) {
    expect(() => new LogStore(path as string)).toThrow(
      expect.objectContaining({ code: "ERR_PARTD_IO" }),
    );
  }
  expect(new LogStore(new URL("file:///never/made")).path).toBe("/never/made");
});

/** As in a program's text. */
function shown(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}
