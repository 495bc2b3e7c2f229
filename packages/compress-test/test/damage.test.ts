import { describe, expect, test } from "@jest/globals";
import { type Codec, Dict, isPartdError } from "@partd/core";
import { frame } from "@partd/core/author";
import { compressions } from "./compressions.js";
import { randomBytes, randomNumbers } from "./random.js";

const MiB = 2 ** 20;

describe.each(compressions)("$name", ({ name, codec, Decorator }) => {
  test("survives 2,000 frames of random and of damaged bytes, within the limit", async () => {
    const random = randomNumbers(7);
    const limit = 4 * MiB;
    const one = codec({ maxDecodedBytes: limit });
    const words = new TextEncoder().encode("a partition of words and words ".repeat(40));
    const seeds = [await one.encode(words), await one.encode(randomBytes(500, random))];
    for (let i = 0; i < 2000; i++) {
      const bytes =
        i % 4 === 0
          ? randomBytes(random() * 80, random)
          : damage(seeds[i % 2] as Uint8Array, random);
      const read = await decodeOrError(one, bytes);
      if (read) expect(read.byteLength).toBeLessThanOrEqual(limit);
    }
    expect(await one.decode(seeds[0] as Uint8Array)).toEqual(words);
  });

  test("refuses the frames of all others, naming key and offset", async () => {
    const content = new TextEncoder().encode("not everyone reads everything ".repeat(30));
    for (const other of compressions) {
      if (other.name === name) continue;
      const store = new Dict();
      await new Decorator(store).append({ x: content });
      const offset = store.byteLength;
      await new other.Decorator(store).append({ x: content });
      const error = await new Decorator(store).get("x").catch((caught: unknown) => caught);
      expect(isPartdError(error)).toBe(true);
      const isTold = ["zlib", "gzip", "bz2", "zstd"].includes(other.name); // By its first bytes.
      const code = isTold ? "ERR_PARTD_CODEC" : "ERR_PARTD_CORRUPT";
      expect(error).toMatchObject({ code, key: "x", offset });
      if (isTold) expect((error as Error).message).toContain(`it begins as ${other.name}`);
    }
  });

  test("refuses a bomb of 256 MiB in little memory", async () => {
    const bomb = await codec({ maxDecodedBytes: 2 ** 30 }).encode(new Uint8Array(256 * MiB));
    expect(bomb.byteLength).toBeLessThan(20 * MiB);
    const store = new Dict();
    await store.append({ x: frame(bomb) });
    const before = process.memoryUsage().rss;
    const p = new Decorator(store, { maxDecodedBytes: MiB });
    await expect(p.get("x")).rejects.toMatchObject({
      code: "ERR_PARTD_CODEC",
      key: "x",
      offset: 0,
    });
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * MiB);
  });

  test("decodes to exactly the limit and no more", async () => {
    const content = new Uint8Array(100_000).fill(7);
    const encoded = await codec().encode(content);
    expect(await codec({ maxDecodedBytes: 100_000 }).decode(encoded)).toEqual(content);
    const refuse = async () => codec({ maxDecodedBytes: 99_999 }).decode(encoded);
    await expect(refuse()).rejects.toMatchObject({ code: "ERR_PARTD_CODEC" });
  });

  test("append refuses what would not be read back", async () => {
    const store = new Dict();
    const p = new Decorator(store, { maxDecodedBytes: 1000 });
    await p.append({ x: new Uint8Array(1000) });
    const { byteLength } = store;
    const refused = p.append({ x: new Uint8Array(1001), y: new Uint8Array(1) });
    await expect(refused).rejects.toMatchObject({
      code: "ERR_PARTD_CODEC",
      key: "x",
      message: expect.stringContaining("append it in pieces"),
    });
    expect(store.byteLength).toBe(byteLength);
    expect(await p.get(["x", "y"])).toEqual([new Uint8Array(1000), new Uint8Array()]);
  });

  test("a frame that states a size of 1 GiB and more takes no such memory", async () => {
    const encoded = await codec().encode(new TextEncoder().encode("x".repeat(1000)));
    const before = process.memoryUsage().rss;
    for (let at = 0; at < Math.min(encoded.byteLength - 4, 16); at++) {
      for (const size of [2 ** 30, 2 ** 31 - 1, 2 ** 32 - 1]) {
        const lying = Uint8Array.from(encoded);
        new DataView(lying.buffer).setUint32(at, size, true);
        await decodeOrError(codec(), lying);
      }
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * MiB);
    expect((await codec().decode(encoded)).byteLength).toBe(1000);
  });
});

function damage(bytes: Uint8Array, random: () => number): Uint8Array {
  const damaged = Uint8Array.from(bytes);
  for (let flips = 1 + random() * 3; flips > 0; flips--) {
    damaged[Math.floor(random() * damaged.length)] = random() * 256;
  }
  return random() < 0.3 ? damaged.subarray(0, random() * damaged.length) : damaged;
}

async function decodeOrError(
  codec: Codec<Uint8Array>,
  bytes: Uint8Array,
): Promise<Uint8Array | undefined> {
  try {
    return await codec.decode(bytes);
  } catch (error) {
    // A trap: an instance of WebAssembly that no one can rely on any more.
    if ((error as Error).name === "RuntimeError") throw error;
    return undefined;
  }
}
