import { expect, test } from "@jest/globals";
import { recordOf } from "@partd/core/author";

test("a record with room is a plain object without properties", () => {
  for (let size = 0; size < 80; size++) {
    for (let i = 0; i < 10; i++) {
      const record = recordOf(size);
      expect(record).toStrictEqual({});
      expect(Object.getPrototypeOf(record)).toBe(Object.prototype);
      expect(Reflect.ownKeys(record)).toEqual([]);
      for (let n = 0; n < size; n++) record[`p${n}`] = n;
      expect(Object.keys(record)).toHaveLength(size);
    }
  }
  expect(Object.prototype.constructor).toBe(Object);
});
