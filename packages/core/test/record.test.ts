import { expect, test } from "@jest/globals";
import { recordOf, setField } from "@partd/core/author";

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

test("a field of any name is set as a property of its own", () => {
  const record: Record<string, unknown> = {};
  for (const name of ["a", "__proto__", "constructor", "toString", ""]) {
    setField(record, name, { of: name });
  }
  expect(Object.getPrototypeOf(record)).toBe(Object.prototype);
  expect(Object.keys(record)).toEqual(["a", "__proto__", "constructor", "toString", ""]);
  setField(record, "__proto__", 2);
  expect(Object.getOwnPropertyDescriptor(record, "__proto__")).toEqual({
    configurable: true,
    enumerable: true,
    value: 2,
    writable: true,
  });
});
