import { describe, expect, test } from "@jest/globals";
import { Json } from "@partd/codec-json";
import { Dict } from "@partd/core";
import { codecContract } from "@partd/testing";
import fc from "fast-check";
import { compressions } from "./compressions.js";
import { realData } from "./data.js";

const { text, json, float64 } = realData();

describe.each(compressions)("$name", ({ codec, Decorator, checksum }) => {
  const samples = [
    text.subarray(0, 1000),
    new Uint8Array(),
    Uint8Array.of(0),
    float64.subarray(0, 5000),
  ];
  const cases = codecContract(codec(), samples, {
    arbitrary: fc.uint8Array({ maxLength: 500 }),
    unencodable: [],
    badBytes: [new Uint8Array(), new TextEncoder().encode("these bytes are of no such format")],
    manyFrames: 1000,
    numRuns: 20,
  });
  for (const { name, run } of cases) test(name, run);

  test.each(Object.entries({ text, json, float64 }))(
    "brings real data back: %s",
    async (_, data) => {
      const store = new Dict();
      const p = new Decorator(store);
      await p.append({ x: data });
      expect(store.byteLength).toBeLessThan(data.byteLength);
      await p.append({ x: data.subarray(0, 100_000) });
      const read = await p.get("x");
      expect(Buffer.compare(read.subarray(0, data.byteLength), data)).toBe(0);
      expect(Buffer.compare(read.subarray(data.byteLength), data.subarray(0, 100_000))).toBe(0);
    },
  );

  test("what it decodes is memory of its own, and no more than that", async () => {
    const one = codec();
    for (const length of [0, 1, 1000, 100_000, 1_000_000]) {
      const encoded = await one.encode(json.subarray(0, length));
      const framed = Buffer.concat([Buffer.alloc(8), encoded]);
      const read = await one.decode(framed.subarray(8));
      expect(read.buffer.byteLength).toBe(read.byteLength);
      expect(Object.getPrototypeOf(read)).toBe(Uint8Array.prototype);
    }
  });

  test("bytes that were transferred, or whose memory was made shorter, are refused", async () => {
    const store = new Dict();
    const p = new Decorator(store);
    for (const gone of [transferred(), shortened()]) {
      for (const call of [p.append({ x: Uint8Array.of(1), y: gone }), p.iset("y", gone)]) {
        await expect(call).rejects.toMatchObject({ code: "ERR_PARTD_VALUE", key: "y" });
      }
    }
    expect(await store.count()).toBe(0);
  });

  test("what bytes or their class say about their length is not asked", async () => {
    class Lies extends Uint8Array {
      override get byteLength() {
        return 1;
      }
    }
    const p = new Decorator(new Dict());
    for (const bytes of [new Lies(json.subarray(0, 2000)), claiming(1), claiming(1e6)]) {
      await p.append({ x: bytes });
      expect(Buffer.compare(await p.pop("x"), json.subarray(0, 2000))).toBe(0);
    }
  });

  test("works under a codec", async () => {
    const p = new Json(new Decorator(new Dict()));
    await p.append({ x: [1, { a: "b" }] });
    await p.append({ x: [null] });
    expect(await p.get("x")).toEqual([1, { a: "b" }, null]);
  });

  test("many frames come back in order, whatever their sizes", async () => {
    const p = new Decorator(new Dict(), { concurrency: 5 });
    const pieces = Array.from({ length: 24 }, (_, i) => json.subarray(i, i + (24 - i) * 9000));
    await p.append(pieces.map((piece) => ["x", piece] as const));
    expect(Buffer.compare(await p.get("x"), Buffer.concat(pieces))).toBe(0);
    let next = 0;
    for await (const piece of p.stream("x")) {
      expect(Buffer.compare(piece, pieces[next++] as Uint8Array)).toBe(0);
    }
    expect(next).toBe(24);
  });

  test(`${checksum ? "finds" : "survives"} each of 300 flipped bits`, async () => {
    const one = codec();
    const content = text.subarray(0, 3000);
    const encoded = await one.encode(content);
    let other = 0;
    for (let i = 0; i < 300; i++) {
      const damaged = Uint8Array.from(encoded);
      const bit = Math.floor((i / 300) * encoded.byteLength * 8);
      damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
      const read = await Promise.resolve()
        .then(() => one.decode(damaged))
        .catch(() => undefined);
      if (read && Buffer.compare(read, content) !== 0) other++;
    }
    if (checksum) expect(other).toBe(0);
  });
});

function transferred(): Uint8Array {
  const bytes = Uint8Array.of(1, 2, 3);
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
  return bytes;
}

/** 2,000 bytes that claim to be more or fewer. */
function claiming(byteLength: number): Uint8Array {
  const bytes = Uint8Array.from(json.subarray(0, 2000));
  return Object.defineProperty(bytes, "byteLength", { value: byteLength });
}

function shortened(): Uint8Array {
  const buffer = Reflect.construct(ArrayBuffer, [8, { maxByteLength: 8 }]) as ArrayBuffer & {
    resize(byteLength: number): void;
  };
  const bytes = new Uint8Array(buffer, 4, 4);
  buffer.resize(2);
  return bytes;
}
