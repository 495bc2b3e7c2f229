import { expect, test } from "@jest/globals";
import { Ext, MsgPackDecoder, MsgPackEncoder } from "@partd/codec-msgpack/format";
import fc from "fast-check";

// Every form of every type is tested where the codec is, in @partd/codec-msgpack.
test("MessagePack reads back what JSON can say, and the bytes are the standard's", () => {
  const encoder = new MsgPackEncoder();
  const decoder = new MsgPackDecoder();
  const hex = Buffer.from(encoder.encode({ compact: true, schema: 0 })).toString("hex");
  expect(hex).toBe("82a7636f6d70616374c3a6736368656d6100"); // The example on msgpack.org.
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(decoder.decode(encoder.encode(value))).toEqual(value);
    }),
  );
});

test("the buffer may grow at any byte of any form", () => {
  const items = [0, -1, 200, -100, 1e3, -1e3, 1e6, -1e6, 2 ** 40, 1.5, null, true, false, "", "a"];
  const forms = [...items, [1], { a: 1 }, new Map([[1, 1]]), Uint8Array.of(1), "é".repeat(50)];
  for (const form of forms) {
    for (let before = 2048 - 150; before < 2048; before++) {
      // A new encoder: one that was used keeps its buffer.
      const bytes = new MsgPackEncoder().encode([new Uint8Array(before), form, 7]);
      expect((new MsgPackDecoder().decode(bytes) as unknown[]).slice(1)).toEqual([form, 7]);
    }
  }
});

test("a short text is never mistaken for another of the same length and hash", () => {
  const decoder = new MsgPackDecoder();
  const encoder = new MsgPackEncoder();
  const texts = fc.array(fc.constantFrom("ab..cd", "ab,.cd", "ab.,cd", "", "a", "ü", "abü"));
  fc.assert(
    fc.property(texts, (list) => {
      expect(decoder.decode(encoder.encode(list))).toEqual(list);
    }),
  );
});

test("names that a program gave all objects are none of a value's", () => {
  Object.defineProperty(Object.prototype, "everywhere", {
    ...{ configurable: true, enumerable: true, value: 1 },
  });
  try {
    expect([...new MsgPackEncoder().encode({ a: 2 })]).toEqual([0x81, 0xa1, 0x61, 2]);
  } finally {
    delete (Object.prototype as Record<string, unknown>).everywhere;
  }
});

test("a value that a getter changes while it is read is refused", () => {
  const record: Record<string, unknown> = {
    get a() {
      delete record.b;
      return 1;
    },
    b: 2,
  };
  expect(() => new MsgPackEncoder().encode(record)).toThrow("loses properties");
  const array: unknown[] = [{ get: 0 }, 1];
  Object.defineProperty(array[0], "get", { enumerable: true, get: () => array.push(2) });
  expect(() => new MsgPackEncoder().encode(array)).toThrow("an array whose length changes");
  const map = new Map<number, unknown>();
  map.set(1, { getter: 0 });
  Object.defineProperty(map.get(1), "getter", { enumerable: true, get: () => map.set(2, 0).size });
  expect(() => new MsgPackEncoder().encode(map)).toThrow("a Map whose size changes");
});

test.each<[string, () => object]>([
  ["an array", () => [1]],
  ["a Map", () => new Map([[1, 2]])],
  ["a Date", () => new Date(0)],
  ["an Ext", () => new Ext(5, new Uint8Array(1))],
  ["bytes", () => new Uint8Array(3)],
  ["many bytes", () => new Uint8Array(3000)],
  ["a Buffer", () => Buffer.alloc(300)],
])("fields on %s, and names that are symbols, are refused", (_, make) => {
  const encode = (value: object) => () => new MsgPackEncoder().encode([value]);
  expect(encode(make())).not.toThrow();
  expect(encode(Object.assign(make(), { field: 1 }))).toThrow("fields on a");
  expect(encode(Object.assign(make(), { [Symbol("s")]: 1 }))).toThrow("name is a symbol");
});

class Discreet extends Map<unknown, unknown> {
  override *[Symbol.iterator](): MapIterator<[unknown, unknown]> {}
  override *keys(): MapIterator<unknown> {}
  override get size(): number {
    return 0;
  }
}

test("a Map that shows other entries than it has is written as what it has", () => {
  const bytes = new MsgPackEncoder().encode(new Discreet([["a", 1]]));
  expect(new MsgPackDecoder().decode(bytes)).toEqual({ a: 1 });
  const equal = new Discreet([[1, 2]]).set(1n, 3);
  expect(() => new MsgPackEncoder().encode(equal)).toThrow("the keys 1 and 1n");
});

test("bytes whose buffer was transferred, and an Ext of bytes with fields, are refused", () => {
  const gone = Uint8Array.of(1);
  structuredClone(gone.buffer, { transfer: [gone.buffer] });
  expect(() => new MsgPackEncoder().encode([gone])).toThrow("buffer was transferred");
  const data = Object.assign(Uint8Array.of(1), { field: 1 });
  expect(() => new MsgPackEncoder().encode([new Ext(5, data)])).toThrow("fields on a");
});

test("fields on an array are found beside items that are not enumerable", () => {
  for (const hidden of [[0], [0, 1], [2]]) {
    const array = Object.assign([1, 2, 3], { field: 1 });
    for (const at of hidden) Object.defineProperty(array, at, { enumerable: false });
    expect(() => new MsgPackEncoder().encode(array)).toThrow("fields on a");
  }
  const item = Object.defineProperty([1, 2], 0, { enumerable: false });
  expect(new MsgPackDecoder().decode(new MsgPackEncoder().encode(item))).toEqual([1, 2]);
});

test("an Ext whose type was changed to none is refused", () => {
  for (const type of [128, -129, 1.5, "5"]) {
    const ext = Object.assign(new Ext(5, new Uint8Array(1)), { type });
    expect(() => new MsgPackEncoder().encode([ext])).toThrow("an Ext whose type is none");
  }
});

test("a Date is written as its own time", () => {
  const date = Object.defineProperty(new Date(5), "getTime", { value: () => 99 });
  expect(new MsgPackDecoder().decode(new MsgPackEncoder().encode([date]))).toEqual([new Date(5)]);
});

test("two keys that are NaN are not read as one", () => {
  const bytes = Buffer.from("82cb7ff800000000000001cb7ff800000000000002", "hex");
  expect(() => new MsgPackDecoder().decode(bytes)).toThrow("two keys that are NaN");
});

test("maps of many names are read as they were written", () => {
  const encoder = new MsgPackEncoder();
  const decoder = new MsgPackDecoder();
  const any = fc.oneof(fc.constantFrom(null, 5, "7", "__proto__"), fc.constantFrom(..."abk"));
  const last = fc.constantFrom("k", "", "7", "__proto__");
  const some = last.chain((text) => fc.subarray([..."abcdefghij", text], { minLength: 8 }));
  fc.assert(
    fc.property(fc.tuple(some, any, fc.nat(30)), ([texts, odd, at]) => {
      // One key may be no text, or stand twice.
      const keys: unknown[] = [...texts];
      if (at < keys.length) keys[at] = odd;
      const bytes = [0xde, 0, keys.length];
      for (const [i, key] of keys.entries()) bytes.push(...encoder.encode(key), i);
      const read = decoder.decode(Uint8Array.from(bytes));
      const entries = keys.map((key, i) => [key, i] as const);
      const isRecord = keys.every((key) => typeof key === "string");
      const written = isRecord ? Object.fromEntries(entries) : new Map(entries);
      expect(read).toEqual(written);
      expect(Reflect.ownKeys(read as object)).toEqual(Reflect.ownKeys(written));
      expect(Object.getPrototypeOf(read)).toBe(Object.getPrototypeOf(written));
    }),
  );
});

test("what bytes say of themselves is not asked", () => {
  class Lies extends Uint8Array {
    override get byteLength() {
      return 1;
    }
    override get length() {
      return 0;
    }
  }
  const own = (name: PropertyKey, value: unknown) =>
    Object.defineProperty(Uint8Array.of(1, 2, 3, 4), name, { value });
  const extension = { type: 7, encode: ({ ext }: { ext?: Uint8Array }) => ext, decode: Array.from };
  for (const lying of [
    new Lies([1, 2, 3, 4]),
    own("byteLength", 1),
    own("byteLength", 8),
    own(Symbol.toStringTag, "Map"),
  ]) {
    const value = [lying, new Ext(5, lying), new Ext(-1, lying), new Map([[lying, 0]])];
    expect(new MsgPackDecoder().decode(new MsgPackEncoder().encode(value))).toEqual([
      Uint8Array.of(1, 2, 3, 4),
      new Ext(5, Uint8Array.of(1, 2, 3, 4)),
      new Date(0x1020304 * 1000),
      new Map([[Uint8Array.of(1, 2, 3, 4), 0]]),
    ]);
    const options = { extensions: [extension as never] };
    const bytes = new MsgPackEncoder(options).encode({ ext: lying });
    expect(new MsgPackDecoder(options).decode(bytes)).toEqual([1, 2, 3, 4]);
  }
  for (const other of [new Int8Array(2), new DataView(new ArrayBuffer(2))]) {
    Object.defineProperty(other, Symbol.toStringTag, { value: "Uint8Array" });
    expect(() => new MsgPackEncoder().encode([other])).toThrow("[0] is refused: MessagePack");
  }
});
