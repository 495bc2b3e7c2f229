import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { runInNewContext } from "node:vm";
import { expect, test } from "@jest/globals";
import { brandOf } from "@partd/core/author";

class Tagged extends Map {
  override get [Symbol.toStringTag]() {
    return "Object";
  }
}

test("the class of a built-in object is found under any prototype, tag and realm", () => {
  const bare = (object: object) => Object.setPrototypeOf(object, null) as object;
  const objects: [object, string | undefined][] = [
    [bare(new Map()), "a Map"],
    [Object.assign(bare(new Set()), { a: 1 }), "a Set"],
    [new Tagged(), "a Map"],
    [bare(new Date(5)), "a Date"],
    [bare(/x/), "a RegExp"],
    [bare(new TypeError("x")), "an Error"],
    [bare(Object(1n) as object), "a boxed primitive"],
    [bare(Promise.resolve()), "a Promise"],
    [bare(new SharedArrayBuffer(1)), "an ArrayBuffer"],
    [bare(new Uint8Array(1)), "a typed array"],
    [new Proxy(new Uint8Array(1), {}), "a typed array"],
    [runInNewContext("new Map()") as object, "a Map"],
    [bare({}), undefined],
    [bare({ a: 1 }), undefined],
    [new (class A {})(), undefined],
    [new Proxy({ a: 1 }, {}), undefined],
  ];
  for (const [object, brand] of objects) expect(brandOf(object)).toBe(brand);
});

test("without node:util as well, for objects without properties", () => {
  const program = `
    process.getBuiltinModule = undefined;
    const { brandOf } = await import("@partd/core/author");
    const bare = (object) => Object.setPrototypeOf(object, null);
    const objects = [new Map(), new Set(), new Date(5), /x/, new Error("x"), Object(1n), Object(true),
      new ArrayBuffer(1), new Float32Array(1), new WeakMap(), {}, { a: 1 }];
    console.log(objects.map(bare).map(brandOf).join());`;
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ["--input-type=module", "--eval", program],
    { cwd: fileURLToPath(new URL(".", import.meta.url)), encoding: "utf8" },
  );
  const brands = ["a Map", "a Set", "a Date", "a RegExp", "an Error", "a boxed primitive"];
  const others = ["a Boolean", "an ArrayBuffer", "a typed array", "a WeakMap", "", ""];
  expect({ stdout, stderr }).toEqual({ stdout: `${[...brands, ...others]}\n`, stderr: "" });
});
