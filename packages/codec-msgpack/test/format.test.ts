import { expect, test } from "@jest/globals";
import { MsgPackDecoder, MsgPackEncoder } from "@partd/codec-msgpack/format";
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

test("an object that loses a property while it is read is refused", () => {
  const value: Record<string, unknown> = {
    get a() {
      delete value.b;
      return 1;
    },
    b: 2,
  };
  expect(() => new MsgPackEncoder().encode(value)).toThrow("loses properties");
});
