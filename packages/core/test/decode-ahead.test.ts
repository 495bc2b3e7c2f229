import { describe, expect, test } from "@jest/globals";
import { type Codec, Dict, Encode } from "@partd/core";
import type { GetOptions } from "@partd/core/author";

/** A codec of texts that counts what it decodes at once, and does it when the test says so. */
class Counted implements Codec<string> {
  readonly name = "counted";
  readonly waiting: (() => void)[] = [];
  running = 0;
  most = 0;

  encode(text: string): Uint8Array {
    return new TextEncoder().encode(text);
  }
  async decode(bytes: Uint8Array): Promise<string> {
    this.most = Math.max(this.most, ++this.running);
    await new Promise<void>((resolve) => this.waiting.push(resolve));
    this.running--;
    if (bytes[0] === BAD) throw new Error("bad");
    return new TextDecoder().decode(bytes.subarray(0, 10));
  }
  join(parts: string[]): string {
    return parts.join("");
  }

  /** Lets all that wait go on, the latest first, again and again until `promise` is settled. */
  async run<T>(promise: Promise<T>): Promise<T> {
    let over = false;
    const settled = promise.finally(() => {
      over = true;
    });
    settled.catch(() => {});
    while (!over) {
      await turns();
      for (const go of this.waiting.splice(0).reverse()) go();
    }
    return promise;
  }
}

const BAD = 0x21;

/** A store that says whether it is being streamed. */
class Watched extends Dict {
  pieces = 0;
  open = 0;

  protected override async _stream(key: string): Promise<Iterable<Uint8Array>> {
    const [value] = (await this._get([key], {})) as [Uint8Array];
    return this.#pieces(value);
  }

  *#pieces(value: Uint8Array) {
    this.open++;
    try {
      for (let at = 0; at < value.byteLength; at += 1000) {
        this.pieces++;
        yield value.slice(at, at + 1000);
      }
    } finally {
      this.open--;
    }
  }
}

async function collect(values: AsyncIterable<string>, into: string[] = []): Promise<string[]> {
  for await (const value of values) into.push(value);
  return into;
}

async function turns(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}

async function filled(texts: readonly string[], concurrency?: number) {
  const dict = new Watched();
  const codec = new Counted();
  const store = new Encode(dict, codec, { concurrency });
  await store.append(texts.map((text) => ["x", text] as const));
  const stream = (options?: GetOptions) => store.stream("x", options);
  return { dict, codec, stream };
}

const words = Array.from({ length: 30 }, (_, i) => `word ${i}`);

describe("a stream of an asynchronous codec", () => {
  test.each([1, 3, undefined])(
    "decodes ahead, keeping the order: at most %s",
    async (concurrency) => {
      const { codec, stream } = await filled(words, concurrency);
      expect(await codec.run(collect(stream()))).toEqual(words);
      expect(codec.most).toBe(concurrency ?? 8);
    },
  );

  test("yields what is decoded while more is read or decoded", async () => {
    const { codec, stream } = await filled(words, 4);
    const values = stream();
    const first = values.next();
    await turns();
    expect(codec.running).toBe(4);
    codec.waiting.shift()?.();
    expect(await first).toEqual({ done: false, value: "word 0" });
    await codec.run(collect(values));
  });

  test("holds no more bytes than are worth it", async () => {
    const { dict, codec, stream } = await filled(["a".repeat(3e6), ...words, ..."bc"], 8);
    const large = await filled(
      Array.from({ length: 5 }, () => "a".repeat(3e6)),
      8,
    );
    expect((await codec.run(collect(stream()))).length).toBe(33);
    expect((await large.codec.run(collect(large.stream()))).length).toBe(5);
    expect(codec.most).toBe(8);
    expect(large.codec.most).toBe(2);
    expect([dict.open, large.dict.open]).toEqual([0, 0]);
  });

  test("fails where the damage is, after all values before it", async () => {
    for (const concurrency of [1, 2, 8]) {
      const damaged = [...words.slice(0, 5), "! damaged", ...words.slice(5)];
      const { dict, codec, stream } = await filled(damaged, concurrency);
      const read: string[] = [];
      await expect(codec.run(collect(stream(), read))).rejects.toMatchObject({
        code: "ERR_PARTD_CORRUPT",
        offset: 5 * (8 + "word 0".length),
      });
      expect(read).toEqual(words.slice(0, 5));
      expect(dict.open).toBe(0);
    }
  });

  test("that is cut short gives the values before the cut", async () => {
    const { dict, codec, stream } = await filled(words.slice(0, 5));
    await dict.append({ x: Uint8Array.of(9, 0, 0) });
    const read: string[] = [];
    await expect(codec.run(collect(stream(), read))).rejects.toMatchObject({
      code: "ERR_PARTD_CORRUPT",
      offset: 5 * (8 + "word 0".length),
    });
    expect(read).toEqual(words.slice(0, 5));
  });

  test("that is left early reads no more, and ends the stream below", async () => {
    const { dict, codec, stream } = await filled(
      words.map((word) => word.padEnd(1000)),
      3,
    );
    const values = stream();
    expect(await codec.run(values.next())).toMatchObject({ value: "word 0    " });
    await values.return();
    const { pieces } = dict;
    expect(dict.open).toBe(0);
    expect(pieces).toBeLessThan(10);
    for (const go of codec.waiting.splice(0)) go();
    await turns();
    expect(dict.pieces).toBe(pieces);
    expect(codec.running).toBe(0);
  });

  test("can be given up while a frame is being decoded", async () => {
    const { dict, stream } = await filled(words, 3);
    const abort = new AbortController();
    const first = stream({ signal: abort.signal }).next();
    await turns();
    abort.abort("reason");
    await expect(first).rejects.toBe("reason");
    expect(dict.open).toBe(0);
  });
});

test("a stream of a synchronous codec is not read ahead", async () => {
  const dict = new Watched();
  const store = new Encode<Uint8Array>(dict, {
    name: "plain",
    encode: (bytes) => bytes,
    decode: (bytes) => bytes,
    join: (pieces) => Buffer.concat(pieces),
  });
  await store.append(words.map(() => ["x", new Uint8Array(992)] as const));
  const values = store.stream("x");
  await values.next();
  await turns();
  expect(dict.pieces).toBe(1);
  await values.return();
  expect(dict.open).toBe(0);
});
