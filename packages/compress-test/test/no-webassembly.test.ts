import { afterEach, expect, test } from "@jest/globals";
import { Dict } from "@partd/core";
import { compressions } from "./compressions.js";

// A file of its own: what was once compiled goes on to work.

const real = WebAssembly;
const text = new TextEncoder().encode("a text in which much is repeated, repeated. ".repeat(40));
const lacking = [
  ["missing", undefined],
  ["forbidden", { ...refusing("compile"), ...refusing("instantiate"), Module: refuse }],
] as const;

afterEach(() => {
  Object.defineProperty(globalThis, "WebAssembly", { value: real, writable: true });
});

test.each(lacking)("where WebAssembly is %s, no bytes are called damaged", async (_, found) => {
  for (const { name, Decorator } of compressions) {
    Object.defineProperty(globalThis, "WebAssembly", { value: found, writable: true });
    const lower = new Dict();
    const store = new Decorator(lower);
    const refused = { code: "ERR_PARTD_CODEC", message: expect.stringContaining("WebAssembly") };
    if (!["bz2", "blosc", "lz4", "zstd"].includes(name)) {
      await store.append({ x: text });
      expect(await store.get("x")).toEqual(text);
      continue;
    }
    await expect(store.append({ x: text })).rejects.toMatchObject(refused);
    await lower.append({ x: Buffer.from(FRAMES[name] as string, "hex") });
    // A decoder of zstd is JavaScript.
    if (name === "zstd") expect(await store.get("x")).toEqual(Uint8Array.of(97));
    else await expect(store.get("x")).rejects.toMatchObject(refused);
  }
});

/** Frames of texts of the letter a. */
const FRAMES: Readonly<Record<string, string>> = {
  bz2: "2500000000000000425a683931415926535919939b6b00000001002000200021184682ee48a70a120332736d60",
  blosc:
    "38000000000000000201130128000000280000003800000061616161616161616161616161616161616161616161616161616161616161616161616161616161",
  lz4: "0600000000000000010000001061",
  zstd: "0a0000000000000028b52ffd200109000061",
};

function refusing(name: string) {
  return { [name]: async () => refuse() };
}

function refuse(): never {
  throw new Error("Refused to compile: it violates the Content-Security-Policy");
}
