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

/** As in a program's text. */
function shown(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}
