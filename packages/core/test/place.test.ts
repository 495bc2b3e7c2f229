import { expect, test } from "@jest/globals";
import { placeOf } from "@partd/core/author";

test("a refused part is found by its place", () => {
  const value = [1, { a: [2, { "b c": undefined }] }];
  const refused = (part: unknown): boolean =>
    part === undefined ||
    (typeof part === "object" && part !== null && Object.values(part).some(refused));
  expect(placeOf(value, refused)).toBe('[1].a[1]["b c"]');
});

test("an array of 2^32 - 1 holes is gone through by what it has", () => {
  const holes: unknown[] = [1];
  holes.length = 2 ** 32 - 1;
  holes[2 ** 31] = "far";
  expect(placeOf([0, holes], (part) => Array.isArray(part) || part === undefined)).toBe("[1][1]");
  expect(placeOf(holes, (part) => part === "far")).toBe("[2147483648]");
});

test("fields of an array are parts of it", () => {
  expect(placeOf(Object.assign([1], { x: "bad" }), (part) => part === "bad")).toBe(".x");
});

test("a part that throws when it is read is the place, and a value without readable parts has none", () => {
  const fail = () => {
    throw new Error("not today");
  };
  const item = Object.defineProperty([1, 2], 1, { get: fail, enumerable: true });
  expect(placeOf({ a: [item] }, Array.isArray)).toBe(".a[0][1]");
  const proxy = new Proxy({ a: 1 }, { ownKeys: fail });
  expect(placeOf([proxy], () => true)).toBe("[0]");
});

test("a cycle is followed once", () => {
  const cycle: { self?: unknown } = {};
  cycle.self = { cycle };
  expect(placeOf([0, cycle], (part) => typeof part === "object")).toBe("[1].self");
});
