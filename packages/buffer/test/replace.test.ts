import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "@jest/globals";
import { BufferStore } from "@partd/buffer";
import { Dict, PartdError } from "@partd/core";
import type { AppendOptions } from "@partd/core/author";
import { FileStore } from "@partd/file";
import { LogStore } from "@partd/log";
import { bytes, read } from "./bytes.js";
import { GatedStore } from "./gated-store.js";

const noSpace = new PartdError("ERR_PARTD_IO", "No space left.");

/** Replaces a value in one step, or not at all. */
class Replacing extends GatedStore {
  protected override async _set(key: string, value: Uint8Array, options: AppendOptions) {
    if (this.refuse !== undefined) throw this.refuse;
    await super._set(key, value, options);
  }
}

describe.each([
  ["small", 10],
  ["larger than the buffer", 50_000],
])("iset of a value that is %s", (_, size) => {
  const value = new Uint8Array(size).fill(7);

  async function setUp() {
    const slow = new Replacing();
    const store = new BufferStore(new Dict(), slow, { availableMemory: 20_000 });
    await store.append({ x: bytes("1") });
    await store.flush();
    await store.append({ x: bytes("2"), y: bytes("a") });
    return { slow, store };
  }

  test("leaves the old one if the slow store fails", async () => {
    const { slow, store } = await setUp();
    slow.refuse = noSpace;
    await expect(store.iset("x", value)).rejects.toBe(noSpace);
    expect([await read(store, "x"), await read(store, "y")]).toEqual(["12", "a"]);
    slow.refuse = undefined;
    await store.iset("x", value);
    expect(await store.get("x")).toEqual(value);
    await store.flush();
    expect(await store.get("x")).toEqual(value);
    expect(await read(store, "y")).toBe("a");
  });

  test("sets again once the key was deleted, and not before", async () => {
    const { store } = await setUp();
    await store.iset("x", value);
    await store.append({ x: bytes("3") });
    await store.iset("x", bytes("never"));
    expect((await store.get("x")).byteLength).toBe(size + 1);
    await store.delete("x");
    await store.iset("x", bytes("again"));
    await store.append({ x: bytes("!") });
    expect(await read(store, "x")).toBe("again!");
  });
});

describe.each([
  ["FileStore", (path: string) => new FileStore(path)],
  ["LogStore", (path: string) => new LogStore(path)],
] as const)("iset over a %s", (_, open) => {
  const folders: string[] = [];

  async function folder(): Promise<string> {
    const path = await mkdtemp(join(tmpdir(), "partd-buffer-iset-"));
    folders.push(path);
    return path;
  }

  afterEach(async () => {
    for (const path of folders.splice(0)) await rm(path, { recursive: true, force: true });
  });

  test("has the new value outlive the process, without a flush", async () => {
    const path = await folder();
    const store = new BufferStore(new Dict(), open(path));
    await store.append({ x: bytes("old") });
    await store.flush();
    await store.iset("x", bytes("new"));
    await using other = open(path); // What a process would find if this one were killed now.
    expect(await read(other, "x")).toBe("new");
    await store.close();
  });

  test("by two processes that set the same has it there once", async () => {
    const path = await folder();
    const stores = [1, 2].map(() => new BufferStore(new Dict(), open(path)));
    for (const store of stores) await store.iset("x.dtype", bytes("<f8"));
    for (const store of stores) await store.append({ x: bytes("12345678") });
    for (const store of stores) await store.close();
    await using other = open(path);
    expect(await read(other, "x.dtype")).toBe("<f8");
    expect(await read(other, "x")).toBe("1234567812345678");
  });
});
