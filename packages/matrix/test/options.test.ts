import { describe, expect, test } from "@jest/globals";
import { BufferStore } from "@partd/buffer";
import { Arrow } from "@partd/codec-arrow";
import { Json, jsonCodec } from "@partd/codec-json";
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
import { Dict, Encode, type Store } from "@partd/core";
import { Server } from "@partd/server";

type Constructor = new (store: unknown, options?: object) => Store<never>;

const codecs: [string, Constructor, name: string, near: string][] = [
  ["Json", Json as Constructor, "integer", "integers"],
  ["MsgPack", MsgPack as Constructor, "extentions", "extensions"],
  ["Pickle", Pickle as Constructor, "protokol", "protocol"],
  ["V8", V8 as Constructor, "concurency", "concurrency"],
  ["Arrow", Arrow as Constructor, "shema", "schema"],
  ["NdArray", NdArray as unknown as Constructor, "typ", "type"],
  ["Lines", Lines as unknown as Constructor, "mends", "mend"],
];
const compressions: typeof codecs = [
  ["Blosc", Blosc as unknown as Constructor, "level", "clevel"],
  ["BZ2", BZ2 as unknown as Constructor, "levle", "level"],
  ["LZ4", LZ4 as unknown as Constructor, "accelerate", "acceleration"],
  ["Snappy", Snappy as unknown as Constructor, "maxDecoded", "maxDecodedBytes"],
  ["ZLib", ZLib as unknown as Constructor, "lvel", "level"],
  ["Gzip", Gzip as unknown as Constructor, "lvel", "level"],
  ["Zstd", Zstd as unknown as Constructor, "levels", "level"],
];
const plain: typeof codecs = [["Text", Text as unknown as Constructor, "", ""]];

const refused = (message: string) =>
  expect.objectContaining({
    code: "ERR_PARTD_VALUE",
    message: expect.stringContaining(message),
  });

describe.each([...codecs, ...compressions])("%s", (name, Decorator, typed, near) => {
  test("refuses an option that it does not have, with the nearest", () => {
    const message = `new ${name}() has no option ${typed}. Did you mean ${near}?`;
    expect(() => new Decorator(new Dict(), { [typed]: 1 })).toThrow(refused(message));
    expect(() => new Decorator(new Dict(), "fast" as never)).toThrow(refused("object of options"));
    new Decorator(new Dict(), { [typed]: undefined, concurrency: undefined });
  });

  test("takes those of a subclass", async () => {
    class Mine extends Decorator {}
    await using store = new Mine(new Dict(), { [typed]: 1 });
    await store.pop("x");
  });
});

describe.each([...codecs, ...compressions, ...plain])("%s", (name, Decorator) => {
  test.each([undefined, null, "shuffle", Dict, {}])("takes a store, and not %p", (store) => {
    const message = `new ${name}() takes a store first, as in new ${name}(new Dict()), not `;
    expect(() => new Decorator(store)).toThrow(refused(message));
  });

  test("takes no store of values", () => {
    const message = `new ${name}() takes a store of bytes, and Json is a store of values`;
    expect(() => new Decorator(new Json(new Dict()))).toThrow(refused(message));
    new Decorator(new Snappy(new Dict()));
  });
});

test.each([...codecs, ...plain])("%s is not served or buffered", async (name, Decorator) => {
  const values = new Decorator(new Dict()) as Store<unknown> as Store;
  await expect(Server.listen(values)).rejects.toThrow(
    refused(`${name} is a store of values: serve the store below it`),
  );
  expect(() => new BufferStore(new Dict(), values)).toThrow(
    refused(`${name} is a store of values; put it around the buffer`),
  );
});

test.each([
  [Json, "integers", "big", 'integers must be "number" or "auto" or "bigint", not "big".'],
  [MsgPack, "maps", true, 'maps must be "auto" or "map", not true.'],
  [Pickle, "dicts", "Map", 'dicts must be "auto" or "map", not "Map".'],
  [Arrow, "schema", "merged", 'schema must be "same" or "merge", not "merged".'],
  [NdArray, "type", "f8", 'type must be a function, not "f8".'],
  [Lines, "mend", 0, "mend must be true or false, not 0."],
  [V8, "concurrency", "2", "concurrency must be a number of 1 or more"],
  [Snappy, "maxDecodedBytes", "1", "maxDecodedBytes must be a positive number"],
])("%p takes no %s of %p", (Decorator, option, value, message) => {
  const Any = Decorator as unknown as Constructor;
  expect(() => new Any(new Dict(), { [option]: value })).toThrow(refused(message));
});

test("Encode takes a codec", () => {
  for (const codec of [undefined, jsonCodec, "json", {}]) {
    expect(() => new Encode(new Dict(), codec as never)).toThrow(
      refused("new Encode() takes a codec second, as in new Encode(new Dict(), jsonCodec())"),
    );
  }
  expect(() => new Encode(new Dict(), jsonCodec(), { concurency: 2 } as object)).toThrow(
    refused("Did you mean concurrency?"),
  );
});

test("Dict takes no options", () => {
  const Any = Dict as unknown as new (options: unknown) => Dict;
  for (const options of [{ memory: 1e6 }, "shuffle"]) {
    expect(() => new Any(options)).toThrow(refused("new Dict() takes no options"));
  }
});
