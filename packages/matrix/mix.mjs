// Every package in one program, for runtimes that cannot run jest: `node|bun|deno mix.mjs` prints a
// line for each part, and ends with 1 if one failed. A part that a runtime cannot do has to be
// refused with ERR_PARTD_CODEC when the codec is made.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BufferStore } from "@partd/buffer";
import { Arrow } from "@partd/codec-arrow";
import { Json } from "@partd/codec-json";
import { MsgPack } from "@partd/codec-msgpack";
import { NdArray } from "@partd/codec-ndarray";
import { Pickle } from "@partd/codec-pickle";
import { Lines, Text } from "@partd/codec-text";
import { V8 } from "@partd/codec-v8";
import { Blosc } from "@partd/compress-blosc";
import { BZ2 } from "@partd/compress-bz2";
import { LZ4 } from "@partd/compress-lz4";
import { Snappy } from "@partd/compress-snappy";
import { Gzip, ZLib } from "@partd/compress-zlib";
import { Zstd } from "@partd/compress-zstd";
import { Dict, isPartdError, tuple } from "@partd/core";
import { FileStore } from "@partd/file";
import { LogStore } from "@partd/log";
import { Client, Server } from "@partd/server";
import { tableFromArrays } from "apache-arrow";

const folder = mkdtempSync(join(tmpdir(), "partd-mix-"));
const at = (name) => join(folder, name);
const bytes = new TextEncoder().encode("the same bytes again and again; ".repeat(500));
let failed = 0;

const stores = {
  Dict: () => new Dict(),
  FileStore: () => new FileStore(at("file")),
  LogStore: () => new LogStore(at("log")),
  "BufferStore over FileStore": () => new BufferStore(new Dict(), new FileStore(at("buffered"))),
  "BufferStore over LogStore": () => new BufferStore(new Dict(), new LogStore(at("logged"))),
  "a temporary FileStore": () => new FileStore(),
  "a temporary LogStore": () => new LogStore(),
};
for (const [name, make] of Object.entries(stores)) await part(name, () => asStore(make()));

for (const [name, address] of [
  ["Server and Client over ipc", `ipc://${at("s")}`],
  ["Server and Client over ws", "ws://127.0.0.1:0"],
]) {
  await part(name, async () => {
    const server = await Server.listen(new Dict(), { address });
    try {
      await asStore(new Client(server.address));
    } finally {
      await server.close();
    }
  });
}

const compressions = { Blosc, BZ2, Gzip, LZ4, Snappy, ZLib, Zstd };
for (const [name, Compression] of Object.entries(compressions)) {
  await part(name, async () => {
    const below = new Dict();
    const store = new Compression(below);
    await store.append({ x: bytes });
    assert.ok((await below.get("x")).length < bytes.length / 2);
    await store.append({ x: bytes });
    assert.deepEqual(await store.get("x"), Uint8Array.from([...bytes, ...bytes]));
  });
}

const codecs = {
  Json: [Json, [{ a: [1, "ü", null] }]],
  MsgPack: [MsgPack, [{ a: [1, "ü", null, 2n ** 60n] }]],
  Pickle: [Pickle, [["a", 1, 2.5, null, true]]],
  V8: [V8, [new Map([["a", new Date(5)]]), 2n ** 70n]],
  NdArray: [NdArray, Float64Array.of(1, -2.5, Number.NaN)],
  Text: [Text, "text"],
  Lines: [Lines, ["one", "two"]],
};
for (const [name, [Codec, value]] of Object.entries(codecs)) {
  await part(name, async () => {
    const store = new Codec(new Snappy(new LogStore(at(name))));
    await store.append({ x: value });
    assert.deepEqual(await store.get("x"), value);
    await store.close();
  });
}
await part("Arrow", async () => {
  const store = new Arrow(new Dict());
  await store.append({ x: tableFromArrays({ a: Float64Array.of(1, 2) }) });
  await store.append({ x: tableFromArrays({ a: Float64Array.of(3) }) });
  assert.deepEqual([...(await store.get("x")).getChild("a")], [1, 2, 3]);
});

rmSync(folder, { recursive: true, force: true });
process.exit(failed > 0 ? 1 : 0);

async function asStore(store) {
  await store.append({ x: bytes, y: bytes.subarray(0, 3) });
  await store.append([[tuple("a", 1), bytes]]);
  await store.append({ x: bytes.subarray(0, 10) });
  assert.deepEqual(await store.get("x"), Uint8Array.from([...bytes, ...bytes.subarray(0, 10)]));
  assert.deepEqual(await store.get([tuple("a", 1), ["y"]]), [bytes, [bytes.subarray(0, 3)]]);
  const keys = [];
  for await (const key of store.keys()) keys.push(String(key));
  assert.equal(keys.length, 3);
  await store.withLock(async (held) => {
    await held.delete("y");
    await held.iset("z", bytes);
  });
  assert.deepEqual(await store.pop("z"), bytes);
  const pieces = [];
  for await (const piece of store.stream("x")) pieces.push(...piece);
  assert.equal(pieces.length, bytes.length + 10);
  await store.flush();
  await store.drop();
  assert.equal((await store.get("x")).length, 0);
  await store.close();
}

async function part(name, body) {
  try {
    await body();
    console.log(`ok     ${name}`);
  } catch (error) {
    if (isPartdError(error, "ERR_PARTD_CODEC") && /runtime|not available/i.test(error.message)) {
      console.log(`refused ${name}: ${error.message}`);
      return;
    }
    failed++;
    console.log(`FAILED ${name}: ${error?.stack ?? error}`);
  }
}
