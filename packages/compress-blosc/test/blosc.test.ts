import { describe, expect, test } from "@jest/globals";
import { Dict } from "@partd/core";
import { frame } from "@partd/core/author";
import { Blosc, type BloscOptions, bloscCodec } from "../src/index.js";

const numbers = new Uint8Array(Float64Array.from({ length: 30_000 }, (_, i) => i / 4).buffer);

describe("options", () => {
  const cnames = ["blosclz", "lz4", "lz4hc", "zlib", "zstd"] as const;
  const all: BloscOptions[] = cnames.flatMap((cname) =>
    (["byte", "bit", "none"] as const).flatMap((shuffle) =>
      [1, 5, 9].map((clevel) => ({ cname, shuffle, clevel, typesize: clevel === 5 ? 4 : 8 })),
    ),
  );

  test.each(all)("%o: any reads what any wrote, and it is smaller", async (options) => {
    const encoded = await bloscCodec(options).encode(numbers);
    expect(encoded.byteLength).toBeLessThan(numbers.byteLength);
    expect(Buffer.compare(await bloscCodec().decode(encoded), numbers)).toBe(0);
  });

  test("the header tells typesize and shuffle", async () => {
    const header = async (options: BloscOptions) =>
      (await bloscCodec(options).encode(numbers)).subarray(0, 16);
    expect((await header({ typesize: 2 }))[3]).toBe(2);
    expect((await header({}))[3]).toBe(8);
    expect(((await header({ shuffle: "byte" }))[2] as number) & 5).toBe(1);
    expect(((await header({ shuffle: "bit" }))[2] as number) & 5).toBe(4);
  });

  test.each([
    { cname: "snappy" },
    { clevel: 10 },
    { shuffle: 1 },
    { typesize: 0 },
    { typesize: 256 },
  ])("%o is refused", (options) => {
    expect(() => bloscCodec(options as BloscOptions)).toThrow(
      expect.objectContaining({ code: "ERR_PARTD_VALUE" }),
    );
  });
});

test("blocks by snappy, which is not built in, are told apart from damage", async () => {
  const encoded = Uint8Array.from(await bloscCodec().encode(numbers));
  encoded[2] = ((encoded[2] as number) & 0x1f) | (2 << 5);
  const store = new Dict();
  await store.append({ x: frame(encoded) });
  await expect(new Blosc(store).get("x")).rejects.toMatchObject({
    code: "ERR_PARTD_CODEC",
    message: expect.stringContaining("snappy"),
  });
});

test("offsets of blocks that point anywhere are refused", async () => {
  const encoded = Uint8Array.from(await bloscCodec().encode(numbers));
  encoded.fill(255, 16, 20);
  await expect(bloscCodec().decode(encoded)).rejects.toThrow("damaged");
});
