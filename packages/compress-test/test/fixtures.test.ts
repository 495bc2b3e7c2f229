import { readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
import { Dict } from "@partd/core";
import { inPython } from "./compressions.js";

test.each(inPython)("$name reads what Python's partd once wrote", async ({ Decorator, python }) => {
  const path = new URL(`./fixtures/${python}.frames`, import.meta.url);
  const store = new Dict();
  await store.append({ x: new Uint8Array(readFileSync(path)) });
  const first = new TextEncoder().encode("to and fro and ".repeat(40));
  const second = new Uint8Array(Float64Array.from({ length: 200 }, (_, i) => i / 7).buffer);
  expect(Buffer.compare(await new Decorator(store).get("x"), Buffer.concat([first, second]))).toBe(
    0,
  );
});
