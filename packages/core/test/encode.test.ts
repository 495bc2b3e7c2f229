import { describe, expect, test } from "@jest/globals";
import { type Codec, Dict, Encode, isPartdError, PartdError, type Store, tuple } from "@partd/core";
import { compressorCodec, frame } from "@partd/core/author";

const texts: Codec<string> = {
  name: "texts",
  encode: (text) => new TextEncoder().encode(text),
  decode: (bytes) => new TextDecoder("utf-8", { fatal: true }).decode(bytes),
  join: (parts) => parts.join(""),
};

/** A codec whose every step waits until the test lets it go on. */
class Stepwise implements Codec<string> {
  readonly name = "stepwise";
  readonly waiting: (() => void)[] = [];
  most = 0;
  #running = 0;

  encode(text: string): Promise<Uint8Array> {
    return this.#step(() => texts.encode(text));
  }
  decode(bytes: Uint8Array): Promise<string> {
    return this.#step(() => texts.decode(bytes));
  }
  join(parts: string[]): string {
    return parts.join("");
  }

  async #step<T>(work: () => T | Promise<T>): Promise<T> {
    this.most = Math.max(this.most, ++this.#running);
    await new Promise<void>((resolve) => this.waiting.push(resolve));
    this.#running--;
    return work();
  }

  /** Lets what waits go on, the latest first, until `promise` is settled. */
  async run<T>(promise: Promise<T>): Promise<T> {
    let over = false;
    const settled = promise.finally(() => {
      over = true;
    });
    settled.catch(() => {});
    while (!over) {
      await settle();
      this.waiting.pop()?.();
    }
    return promise;
  }
}

describe("Encode", () => {
  test("entries decodes whole values, or long ones some frames at a time, also when nested", async () => {
    const flip = (bytes: Uint8Array) => bytes.map((byte) => byte ^ 1);
    const flipped: Codec<Uint8Array> = {
      name: "flip",
      encode: flip,
      decode: flip,
      join: (parts) => Buffer.concat(parts),
    };
    const store = new Encode(new Encode(new Dict(), flipped), texts);
    await store.append({ b: "1", "a/b": "2" });
    for (let i = 0; i < 9; i++) await store.append({ long: "x".repeat(300_000), b: "+" });
    const long = "x".repeat(2_700_000);
    const whole = new Map(await collect(store.entries()));
    expect(whole).toEqual(
      new Map([
        ["b", "1+++++++++"],
        ["a/b", "2"],
        ["long", long],
      ]),
    );
    const parts = await collect(store.entries({ longest: 700_000, sorted: true }));
    expect(parts.map(([key]) => key)).toEqual(["a/b", "b", ...Array(5).fill("long")]);
    expect(
      parts
        .slice(2)
        .map(([, text]) => text)
        .join("") === long,
    ).toBe(true);
    expect(await store.count()).toBe(3);
    expect(await store.size("a/b")).toBe(8 + 8 + 1);
  });

  test("stores each append as one frame, and decorators nest", async () => {
    const dict = new Dict();
    const upper: Codec<Uint8Array> = {
      name: "flip",
      encode: (bytes) => bytes.map((byte) => byte ^ 1),
      decode: (bytes) => bytes.map((byte) => byte ^ 1),
      join: (parts) => Buffer.concat(parts),
    };
    const store = new Encode(new Encode(dict, upper), texts);
    await store.append({ x: "ab" });
    await store.append({ x: "" });
    const inner = frame(frame(texts.encode("ab") as Uint8Array).map((byte) => byte ^ 1));
    const empty = frame(frame(new Uint8Array(0)).map((byte) => byte ^ 1));
    expect(Buffer.from(await dict.get("x"))).toEqual(Buffer.concat([inner, empty]));
    expect(await store.get("x")).toBe("ab");
  });

  test("an asynchronous codec keeps the order, with a bounded number under way", async () => {
    for (const concurrency of [1, 3, undefined]) {
      const codec = new Stepwise();
      const store = new Encode(new Dict(), codec, { concurrency });
      const parts = Array.from({ length: 30 }, (_, i) => `<${i}>`);
      await codec.run(store.append(parts.map((part) => ["x", part] as const)));
      expect(codec.most).toBe(concurrency ?? 8);
      codec.most = 0;
      expect(await codec.run(store.get("x"))).toBe(parts.join(""));
      expect(codec.most).toBe(concurrency ?? 8);
      codec.most = 0;
      await codec.run(store.append(parts.map((part, i) => [`k${i}`, part] as const)));
      expect(await codec.run(store.get(parts.map((_, i) => `k${i}`)))).toEqual(parts);
      expect(codec.most).toBe(concurrency ?? 8); // Also where each key has one frame.
    }
  });

  test("any concurrency of 1 or more will do, and another is refused", async () => {
    const later: Codec<string> = {
      ...texts,
      encode: async (text) => texts.encode(text),
      decode: async (bytes) => texts.decode(bytes),
    };
    for (const concurrency of [1, 1.5, 1e9, Number.POSITIVE_INFINITY]) {
      const store = new Encode(new Dict(), later, { concurrency });
      await store.append({ x: "1", y: "2" });
      await store.append({ x: "3" });
      expect(await store.get(["x", "y"])).toEqual(["13", "2"]);
    }
    for (const concurrency of [0, -1, Number.NaN]) {
      expect(() => new Encode(new Dict(), texts, { concurrency })).toThrow(
        expect.objectContaining({ code: "ERR_PARTD_VALUE" }),
      );
    }
  });

  test("close waits for appends that are still being encoded, and lets no later one in", async () => {
    const codec = new Stepwise();
    class Watched extends Dict {
      atClose = -1;
      protected override async _close(): Promise<void> {
        this.atClose = this.byteLength;
        await super._close();
      }
    }
    const dict = new Watched();
    const store = new Encode(dict, codec);
    const before = [store.append({ x: "1" }), store.iset("y", "2")];
    const closing = store.close();
    const late = store.append({ x: "late" }).catch((error: unknown) => error);
    await codec.run(Promise.all([...before, closing]));
    expect(dict.atClose).toBe(18); // Two frames of one byte.
    expect(isPartdError(await codec.run(late), "ERR_PARTD_CLOSED")).toBe(true);
  });

  test("withLock waits for appends of its critical that are still being encoded", async () => {
    const codec = new Stepwise();
    const store = new Encode(new Dict(), codec);
    await codec.run(
      store.withLock((held) => {
        void held.append({ x: "1" });
      }),
    );
    expect(await codec.run(store.get("x"))).toBe("1");
  });

  test("an error of one value stops the rest, names the key, and appends nothing", async () => {
    const seen: string[] = [];
    const picky: Codec<string> = {
      ...texts,
      name: "picky",
      encode(text) {
        seen.push(text);
        if (text === "bad") throw new RangeError("too bad");
        return texts.encode(text);
      },
    };
    const dict = new Dict();
    const store = new Encode(dict, picky);
    const key = tuple("k", "1");
    const error = await failure(
      store.append([
        ["a", "good"],
        [key, "bad"],
        ["c", "never"],
      ]),
    );
    expect(error).toMatchObject({ code: "ERR_PARTD_CODEC", key });
    expect(error.message).toContain("picky");
    expect(error.message).toContain('tuple("k", "1")');
    expect(error.cause).toBeInstanceOf(RangeError);
    expect(seen).toEqual(["good", "bad"]);
    expect(dict.byteLength).toBe(0);
  });

  test("a codec's own PartdError keeps its code", async () => {
    const refusing: Codec<string> = {
      ...texts,
      decode() {
        throw new PartdError("ERR_PARTD_CODEC", "it is not safe.");
      },
    };
    const store = new Encode(new Dict(), refusing);
    await store.append({ x: "1" });
    expect(await failure(store.get("x"))).toMatchObject({
      code: "ERR_PARTD_CODEC",
      key: "x",
      offset: 0,
    });
  });

  test("an asynchronous failure is told as a synchronous one is", async () => {
    const failing: Codec<string> = {
      name: "failing",
      encode: async (text) => {
        if (text === "bad") throw new Error("cannot");
        return texts.encode(text);
      },
      decode: async () => {
        throw new Error("cannot");
      },
      join: (parts) => parts.join(""),
    };
    const store = new Encode(new Dict(), failing);
    expect(await failure(store.append({ x: "bad" }))).toMatchObject({
      code: "ERR_PARTD_CODEC",
      key: "x",
    });
    await store.append({ x: "1" });
    expect(await failure(store.get("x"))).toMatchObject({
      code: "ERR_PARTD_CORRUPT",
      key: "x",
      offset: 0,
    });
  });

  test("values that do not go together are told with the key", async () => {
    const joining: Codec<string> = {
      ...texts,
      join() {
        throw new Error("of two kinds");
      },
    };
    const store = new Encode(new Dict(), joining);
    await store.append({ x: "1" });
    const error = await failure(store.get(["x"]));
    expect(error).toMatchObject({ code: "ERR_PARTD_CODEC", key: "x" });
    expect(error.message).toContain("of two kinds");
    expect(await failure(store.pop("x"))).toMatchObject({ code: "ERR_PARTD_CODEC" });
  });

  test("a codec that encodes to no bytes is an error, not an empty frame", async () => {
    for (const encoded of ["text", undefined, [1], new Uint16Array(2), Promise.resolve("text")]) {
      const wrong = { ...texts, encode: () => encoded as unknown as Uint8Array };
      const dict = new Dict();
      const error = await failure(new Encode(dict, wrong).append({ x: "1" }));
      expect(error).toMatchObject({ code: "ERR_PARTD_CODEC", key: "x" });
      expect(dict.byteLength).toBe(0);
    }
  });

  test("a synchronous codec over many frames rests, and can be given up meanwhile", async () => {
    const store = new Encode(new Dict(), {
      ...texts,
      decode(bytes: Uint8Array) {
        const until = performance.now() + 1;
        while (performance.now() < until);
        return texts.decode(bytes);
      },
    } as Codec<string>);
    await store.append(Array.from({ length: 2_000 }, () => ["x", "1"] as const));
    const controller = new AbortController();
    for (const read of [
      () => store.get("x", { signal: controller.signal }),
      async () => {
        for await (const _ of store.stream("x", { signal: controller.signal }));
      },
    ]) {
      setImmediate(() => controller.abort("reason"));
      await expect(read()).rejects.toBe("reason");
    }
  });

  test("can be given up while a codec is at work, however long that takes", async () => {
    const dict = new Dict();
    await new Encode(dict, texts).append({ x: "1" });
    const endless: Codec<string> = {
      ...texts,
      encode: () => new Promise(() => {}),
      decode: () => new Promise(() => {}),
    };
    const store = new Encode(dict, endless);
    for (const call of [
      (signal: AbortSignal) => store.append({ y: "2" }, { signal }),
      (signal: AbortSignal) => store.iset("y", "2", { signal }),
      (signal: AbortSignal) => store.get("x", { signal }),
      (signal: AbortSignal) => store.pop("x", { signal }),
    ]) {
      const abort = new AbortController();
      const called = call(abort.signal);
      await settle();
      abort.abort("reason");
      await expect(called).rejects.toBe("reason");
    }
    await store.close(); // It waits for none of them.
  });

  test("a stream that is left early ends the one below", async () => {
    const dict = new Dict();
    const store = new Encode(dict, texts);
    for (let i = 0; i < 10; i++) await store.append({ x: "1".repeat(100_000) });
    for await (const text of store.stream("x")) {
      expect(text.length).toBe(100_000);
      break;
    }
    await store.delete("x");
    expect(dict.memory).toBe(0); // No one holds it any longer.
  });

  test("pop of many keys deletes none of them if one is damaged", async () => {
    const dict = new Dict();
    const store = new Encode(dict, texts);
    await store.append({ a: "1", b: "2" });
    await dict.append({ b: Uint8Array.of(1) });
    expect(await failure(store.pop([["a"], "b"]))).toMatchObject({
      code: "ERR_PARTD_CORRUPT",
      key: "b",
      offset: 9,
    });
    expect(await store.get("a")).toBe("1");
  });

  test("what the caller does to a list of keys while get waits changes no answer", async () => {
    const store: Store<string> = new Encode(new Dict(), texts);
    await store.append({ a: "1" });
    const keys = ["a", "b"];
    const reading = store.get(keys);
    keys.length = 0;
    expect(await reading).toEqual(["1", ""]);
  });
});

describe("memory that get reads a compression's frames into", () => {
  const value = (byte: number) => new Uint8Array(20_000).fill(byte);

  /** A compression that copies, and reads its input when it is told to; `fail` never does. */
  function held() {
    const memory: ArrayBufferLike[] = [];
    const waiting: (() => void)[] = [];
    const codec = compressorCodec({
      name: "held",
      compress: (bytes) => bytes.slice(),
      async decompress(bytes) {
        if (bytes[0] === FAIL) throw new Error("it fails.");
        memory.push(bytes.buffer);
        await new Promise<void>((resolve) => waiting.push(resolve));
        return bytes.slice();
      },
    });
    const goOn = async <T>(promise: Promise<T>): Promise<T> => {
      await settle();
      for (const resolve of waiting.splice(0)) resolve();
      return promise;
    };
    return { codec, memory, goOn };
  }
  const FAIL = 255;

  test("is read into again, by one call at a time", async () => {
    const { codec, memory, goOn } = held();
    await using p = new Encode(new Dict(), codec);
    await p.append({ a: value(1), b: value(2) });
    const first = await goOn(p.get("a"));
    const [a, b] = await goOn(Promise.all([p.get("a"), p.get("b")]));
    expect([first, a, b]).toEqual([value(1), value(1), value(2)]);
    expect(memory[1]).toBe(memory[0]);
    expect(memory[2]).not.toBe(memory[1]);
  });

  test("is left to a decoder that goes on after another one has failed", async () => {
    const { codec, memory, goOn } = held();
    await using p = new Encode(new Dict(), codec);
    await p.append({ a: value(1), b: value(2) });
    await p.append({ a: value(FAIL) });
    await expect(p.get("a")).rejects.toThrow("it fails.");
    expect(await goOn(p.get("b"))).toEqual(value(2));
    expect(memory[1]).not.toBe(memory[0]);
  });

  test.each([
    ["at once", (b: Uint8Array) => b],
    ["later", async (b: Uint8Array) => b],
  ])("is not what a compression without manners answers %s", async (_, decompress) => {
    const codec = compressorCodec({ name: "view", compress: (b) => b.slice(), decompress });
    await using p = new Encode(new Dict(), codec);
    await p.append({ a: value(1), b: value(2) });
    const a = await p.get("a");
    await p.get("b");
    expect(a).toEqual(value(1));
  });

  test("belongs to the caller of a codec that is no compression", async () => {
    const views = {
      name: "views",
      encode: (b: Uint8Array) => b.slice(),
      decode: (b: Uint8Array) => b,
    };
    await using p = new Encode(new Dict(), { ...views, join: ([b = value(0)]) => b });
    await p.append({ a: value(1), b: value(2) });
    const a = await p.get("a");
    await p.get("b");
    expect(a).toEqual(value(1));
  });
});

async function failure(call: Promise<unknown>): Promise<PartdError> {
  const [result] = await Promise.allSettled([call]);
  const { reason } = result as PromiseRejectedResult;
  if (!isPartdError(reason)) throw new Error(`no PartdError: ${String(reason)}`);
  return reason;
}

async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

describe("a codec that passes on what it is given", () => {
  const same: Codec<Uint8Array> = {
    name: "same",
    encode: (bytes) => bytes,
    decode: (bytes) => bytes,
    join: ([bytes = new Uint8Array()]) => bytes,
  };

  test("what bytes say of themselves is not asked", async () => {
    const p = new Encode(new Dict(), same);
    for (const byteLength of [0, 1, 9]) {
      const bytes = Object.defineProperty(Uint8Array.of(1, 2, 3), "byteLength", {
        value: byteLength,
      });
      await p.append({ x: bytes });
      expect(await p.pop("x")).toEqual(Uint8Array.of(1, 2, 3));
    }
  });

  test("another array that says it is bytes is refused", async () => {
    const store = new Dict();
    const p = new Encode(store, same);
    for (const other of [new Int16Array(3), new DataView(new ArrayBuffer(3))] as never[]) {
      Object.defineProperty(other, Symbol.toStringTag, { value: "Uint8Array" });
      await expect(p.append({ x: other })).rejects.toThrow("it did not encode to a Uint8Array");
      await expect(store.append({ x: other })).rejects.toThrow("must be a Uint8Array");
    }
    expect(await store.count()).toBe(0);
  });
});
