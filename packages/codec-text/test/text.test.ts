import { describe, expect, test } from "@jest/globals";
import { Dict, Encode, isPartdError, type Key, tuple } from "@partd/core";
import { codecContract } from "@partd/testing";
import fc from "fast-check";
import { Lines, Text } from "../src/index.js";

/** A store that yields its values in pieces of the given lengths, as a file or a socket may. */
class Pieces extends Dict {
  readonly #lengths: readonly number[];

  constructor(lengths: readonly number[]) {
    super();
    this.#lengths = lengths;
  }

  protected override async _stream(key: string): Promise<Iterable<Uint8Array>> {
    const [value] = (await this._get([key], {})) as [Uint8Array];
    const pieces: Uint8Array[] = [];
    for (let at = 0, i = 0; at < value.byteLength; i++) {
      const length = this.#lengths[i % this.#lengths.length] as number;
      pieces.push(value.subarray(at, at + length));
      at += length;
    }
    return pieces;
  }
}

const pieceLengths = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 9 });

async function collect<T>(values: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const value of values) collected.push(value);
  return collected;
}

async function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => {
      throw new Error(`resolved with ${String(value)}`);
    },
    (error: unknown) => error,
  );
}

describe("the codec contract, of Text", () => {
  for (const { name, run } of codecContract<string>(
    (store) => new Text(store),
    ["Grüße 🌍", "", "a\r\nb"],
    {
      framed: false,
      join: (strings) => strings.join(""),
      arbitrary: fc.string({ unit: "binary" }),
      unencodable: ["\ud800", 1, null, ["text"]],
    },
  )) {
    test(name, run);
  }
});

describe("the codec contract, of Lines", () => {
  for (const { name, run } of codecContract<string[]>(
    (store) => new Lines(store),
    [["Grüße", "🌍", ""], [], ["a\r"]],
    {
      framed: false,
      arbitrary: fc.array(fc.stringMatching(/^[^\n]*$/)),
      unencodable: [["\ud800"], ["a\nb"], "text", [1], null],
    },
  )) {
    test(name, run);
  }
});

test("appended strings are put end to end, and an absent key is the empty string", async () => {
  await using p = new Text(new Dict());
  await p.append({ x: "Grüße, ", y: "" });
  await p.append({ x: "世界 🌍" });
  expect(await p.get("x")).toBe("Grüße, 世界 🌍");
  expect(await p.get(["x", ["y", "z"]])).toEqual(["Grüße, 世界 🌍", ["", ""]]);
  expect(await collect(p.keys())).toEqual(["x"]);
});

test("the bytes below are the text's UTF-8 and nothing else, both ways", async () => {
  const bytes = new Dict();
  const p = new Text(bytes);
  await p.append([[tuple("a", 1), "äß"]]);
  expect(Buffer.from(await bytes.get(tuple("a", 1))).toString()).toBe("äß");
  await bytes.append({ written: Buffer.from("\uFEFFby another\r\n") });
  expect(await p.get("written")).toBe("\uFEFFby another\r\n");
});

test("any strings round-trip, and stream yields whole characters of any pieces", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.string({ unit: "binary", maxLength: 20 })),
      pieceLengths,
      async (strings, lengths) => {
        await using p = new Text(new Pieces(lengths));
        for (const text of strings) await p.append({ x: text });
        expect(await p.get("x")).toBe(strings.join(""));
        const pieces = await collect(p.stream("x"));
        expect(pieces.join("")).toBe(strings.join(""));
        expect(pieces.every((piece) => piece.isWellFormed() && piece !== "")).toBe(true);
      },
    ),
  );
});

test("half a surrogate pair is refused, and nothing of the batch is appended", async () => {
  await using p = new Text(new Dict());
  const error = await failure(p.append({ x: "fine", y: "\ud83d" }));
  expect(isPartdError(error, "ERR_PARTD_CODEC")).toBe(true);
  expect(error).toMatchObject({ key: "y" });
  expect(await p.get("x")).toBe("");
  expect(isPartdError(await failure(p.append({ x: 1 as never })), "ERR_PARTD_CODEC")).toBe(true);
});

test("a text of another encoding or a file of another format is named, not called damaged", async () => {
  const values: [Uint8Array, string][] = [
    [Buffer.from("\ufeffGrüße", "utf16le"), "begins as UTF-16"],
    [Buffer.from("\ufeffGrüße", "utf16le").swap16(), "begins as UTF-16"],
    [Buffer.from("1f8b0800000000000003", "hex"), "begins as gzip"],
  ];
  for (const [bytes, said] of values) {
    const store = new Dict();
    await store.append({ x: bytes });
    for (const reader of [new Text(store), new Lines(store)]) {
      expect(await failure(reader.get("x"))).toMatchObject({
        code: "ERR_PARTD_CODEC",
        key: "x",
        message: expect.stringContaining(said),
      });
    }
  }
});

test("what is not UTF-8 is corrupt, with the offset of its first byte", async () => {
  const good = Buffer.from("größer 🌍 ");
  const bads = [
    [0x80],
    [0xc0, 0xaf],
    [0xe0, 0x80, 0xaf],
    [0xed, 0xa0, 0x80],
    [0xf0, 0x80, 0x80, 0x80],
    [0xf4, 0x90, 0x80, 0x80],
    [0xf5, 0x80, 0x80, 0x80],
    [0xff],
    [0xe2, 0x82],
    [0xe2, 0x28, 0xa1],
  ];
  for (const bad of bads) {
    for (const after of ["", "after"]) {
      const store = new Pieces([3]);
      const p = new Text(store);
      await store.append({ x: Buffer.concat([good, Uint8Array.from(bad), Buffer.from(after)]) });
      for (const read of [p.get("x"), p.pop("x"), collect(p.stream("x"))]) {
        const error = await failure(read);
        expect(isPartdError(error, "ERR_PARTD_CORRUPT")).toBe(true);
        expect(error).toMatchObject({ key: "x", offset: good.byteLength });
      }
      expect((await store.get("x")).byteLength).toBeGreaterThan(0);
    }
  }
});

test("any bytes are text or corrupt at an offset before which they are text", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 12 }), async (bytes) => {
      const store = new Dict();
      await store.append({ x: bytes });
      const result: unknown = await new Text(store).get("x").catch((error: unknown) => error);
      if (typeof result === "string") {
        expect(Buffer.from(result)).toEqual(Buffer.from(bytes));
        return;
      }
      const { offset, code } = result as { offset: number; code: string };
      // UTF-16, zlib and gzip are told by so few bytes that chance finds them.
      const start = Buffer.from(bytes).toString("hex");
      const isOther = /^(fffe|feff|78(01|5e|9c|da)|1f8b08)/.test(start);
      expect(code).toBe(isOther ? "ERR_PARTD_CODEC" : "ERR_PARTD_CORRUPT");
      const before = Buffer.from(bytes.subarray(0, offset));
      expect(Buffer.from(before.toString())).toEqual(before);
    }),
    { numRuns: 2000, examples: [[Uint8Array.of(120, 218)]] },
  );
});

test("pop, iset, delete, drop and withLock speak text", async () => {
  await using p = new Text(new Dict());
  await p.iset("x", "one");
  await p.iset("x", "two");
  expect(await p.pop("x")).toBe("one");
  await p.withLock(async (held) => {
    await held.append({ x: await held.get("x"), y: "in" });
    await held.append({ y: "side" });
  });
  expect(await p.get("y")).toBe("inside");
  await p.delete(["y"]);
  expect(await p.get("y")).toBe("");
  await p.append({ z: "z" });
  await p.drop();
  expect(await collect(p.keys())).toEqual([]);
});

test("the lists of keys may be changed while the answer is awaited", async () => {
  await using p = new Text(new Dict());
  await p.append({ x: "to" });
  const keys = ["x"];
  const [read, popped] = [p.get(keys), p.pop(keys)];
  keys.push("y");
  expect(await read).toEqual(["to"]);
  expect(await popped).toEqual(["to"]);
});

test("an aborted operation rejects with the reason", async () => {
  await using p = new Text(new Dict());
  const signal = AbortSignal.abort("enough");
  expect(await failure(p.append({ x: "x" }, { signal }))).toBe("enough");
  expect(await failure(p.get("x", { signal }))).toBe("enough");
  expect(await failure(collect(p.stream("x", { signal })))).toBe("enough");
});

test("text can be compressed below", async () => {
  const reversed = new Encode<Uint8Array>(new Dict(), {
    name: "reverse",
    encode: (bytes) => bytes.slice().reverse(),
    decode: (bytes) => bytes.slice().reverse(),
    join: (pieces) => Buffer.concat(pieces),
  });
  await using p = new Text(reversed);
  await p.append({ x: "añ" });
  await p.append({ x: "ü" });
  expect(await p.get("x")).toBe("añü");
});

test("lines round-trip, and stream yields whole lines of any pieces", async () => {
  const line = fc
    .string({ unit: "binary", maxLength: 12 })
    .map((text) => text.replaceAll("\n", "\r"));
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(line)), pieceLengths, async (lists, lengths) => {
      const store = new Pieces(lengths);
      await using p = new Lines(store);
      for (const list of lists) await p.append({ x: list });
      expect(await p.get("x")).toEqual(lists.flat());
      expect((await collect(p.stream("x"))).flat()).toEqual(lists.flat());
      const text = lists.flat().map((one) => `${one}\n`);
      expect(Buffer.from(await store.get("x")).toString()).toBe(text.join(""));
    }),
  );
});

test("fields on a list of lines are refused, and any array is a list", async () => {
  await using p = new Lines(new Dict());
  const matched = "abc".match(/b/) as RegExpMatchArray;
  for (const fields of [matched, Object.assign(["a", "b"], { field: 1 })]) {
    const append = p.append({ x: fields });
    await expect(append).rejects.toMatchObject({ code: "ERR_PARTD_CODEC", key: "x" });
    await expect(append).rejects.toThrow("fields of its own");
  }
  for (const prototype of [null, Object.prototype]) {
    await p.append({ x: Object.setPrototypeOf(["a", "b"], prototype) });
  }
  expect(await p.get("x")).toEqual(["a", "b", "a", "b"]);
});

test("a file without a last line feed ends with a line", async () => {
  const store = new Pieces([2]);
  await store.append({ x: Buffer.from("one\n\nthree") });
  const p = new Lines(store);
  expect(await p.get("x")).toEqual(["one", "", "three"]);
  expect((await collect(p.stream("x"))).flat()).toEqual(["one", "", "three"]);
});

test("a line that would read back as something else is refused", async () => {
  await using p = new Lines(new Dict());
  for (const bad of [["a\nb"], [1], "text", ["\udc00"]]) {
    const error = await failure(p.append([["x" as Key, bad as string[]]]));
    expect(isPartdError(error, "ERR_PARTD_CODEC")).toBe(true);
    expect(error).toMatchObject({ key: "x" });
  }
});

test("damaged lines name the offset in the whole value, also in a stream", async () => {
  const store = new Pieces([4]);
  await store.append({ x: Buffer.concat([Buffer.from("first\nsecond\n"), Buffer.of(0xff, 10)]) });
  const p = new Lines(store);
  for (const read of [p.get("x"), collect(p.stream("x"))]) {
    expect(await failure(read)).toMatchObject({ code: "ERR_PARTD_CORRUPT", offset: 13 });
  }
});

test("a get of many keys lets other work run, and can be given up meanwhile", async () => {
  const p = new Text(new Dict());
  const keys = Array.from({ length: 1000 }, (_, i) => `key ${i}`);
  const text = "ü€😀".repeat(10_000);
  await p.append(keys.map((key) => [key, text] as const));
  for (const read of [
    (signal: AbortSignal) => p.get(keys, { signal }),
    (signal: AbortSignal) => p.pop(keys, { signal }),
  ]) {
    const abort = new AbortController();
    let turns = 0;
    setImmediate(function next() {
      if (++turns === 6) abort.abort("reason");
      else setImmediate(next);
    });
    await expect(read(abort.signal)).rejects.toBe("reason");
  }
  expect((await p.get(keys)).every((read) => read === text)).toBe(true);
});

describe("lines after a text that ends within one", () => {
  const utf8 = new TextEncoder();
  const text = async (store: Dict) => new TextDecoder().decode(await store.get("x"));

  test("the text's last line is ended first, once", async () => {
    const lower = new Dict();
    await lower.append({ x: utf8.encode("a\nb") });
    const [p, q] = [new Lines(lower), new Lines(lower)];
    expect(await p.get("x")).toEqual(["a", "b"]);
    await Promise.all([p.append({ x: ["c"], y: ["new"] }), q.append({ x: [""] })]);
    expect((await p.get("x")).slice(0, 2)).toEqual(["a", "b"]);
    expect((await p.get("x")).slice(2).sort()).toEqual(["", "c"]);
    expect(await p.get("y")).toEqual(["new"]);
    await p.append({ x: [] });
    await p.withLock((held) => held.append({ x: ["d"] }));
    expect(await text(lower)).toMatch(/^a\nb\n(c\n\n|\nc\n)d\n$/);
  });

  test("nothing appended, or nothing but a refused line, leaves it as it is", async () => {
    const lower = new Dict();
    await lower.append({ x: utf8.encode("a\nb") });
    const p = new Lines(lower);
    await p.append({ x: [] });
    await expect(p.append({ x: ["c\nd"] })).rejects.toMatchObject({ code: "ERR_PARTD_CODEC" });
    expect(await text(lower)).toBe("a\nb");
  });

  test("with { mend: false } no value is read", async () => {
    const lower = new Dict();
    await lower.append({ x: utf8.encode("a") });
    await new Lines(lower, { mend: false }).append({ x: ["b"] });
    expect(await text(lower)).toBe("ab\n");
  });
});
