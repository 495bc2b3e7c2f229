import { expect, test } from "@jest/globals";
import { type Codec, Dict, Encode, type Store } from "@partd/core";
import { frame, knownFormat } from "@partd/core/author";

const refusing = (name: string): Codec<Uint8Array> => ({
  name,
  encode: (bytes) => bytes,
  decode: () => {
    throw new Error("not mine.");
  },
  join: (parts) => Buffer.concat(parts),
});

const gzip = Uint8Array.of(0x1f, 0x8b, 8, 0, 1, 2, 3, 4, 0, 3, 9);

async function refusal(store: Store, bytes: Uint8Array, codec: string) {
  await store.append({ x: bytes });
  const encode = new Encode(store, refusing(codec));
  const error = await encode.get("x").then(
    () => undefined,
    (error: unknown) => error,
  );
  await expect(encode.stream("x").next()).rejects.toEqual(error);
  return error;
}

test("a frame of a known format is named, and called damaged only by its own codec", async () => {
  expect(await refusal(new Dict(), frame(gzip), "texts")).toMatchObject({
    code: "ERR_PARTD_CODEC",
    message: expect.stringContaining("begins as gzip"),
    key: "x",
    offset: 0,
  });
  const others: [Uint8Array, string][] = [
    [gzip, "gzip"],
    [Buffer.from("plain"), "texts"],
    [gzip.subarray(0, 2), "texts"],
    [new Uint8Array(), "texts"],
  ];
  for (const [bytes, codec] of others) {
    expect(await refusal(new Dict(), frame(bytes), codec)).toMatchObject({
      code: "ERR_PARTD_CORRUPT",
    });
  }
});

test("a value of a known format that has no frames is named, too", async () => {
  for (const codec of ["gzip", "texts"]) {
    expect(await refusal(new Dict(), gzip, codec)).toMatchObject({
      code: "ERR_PARTD_CODEC",
      message: expect.stringContaining("begins as gzip; read it without a codec"),
    });
  }
  expect(await refusal(new Dict(), Buffer.from("plain text"), "texts")).toMatchObject({
    code: "ERR_PARTD_CORRUPT",
  });
});

test("formats are told by their first bytes", () => {
  const starts: [string, string][] = [
    ["BZh61AY&SY", "bz2"],
    ["BZh9\x17rE8P\x90", "bz2"],
    ["\x04\x22\x4d\x18d@", "the frame format of LZ4"],
    ["\xff\x06\0\0sNaPpY\x01", "the framing format of Snappy"],
    ["\x9e\xa8b2frame\0\x12", "a frame of Blosc2"],
    ["ARROW1\0\0\xff\xff\xff\xff", "an Arrow file, and not a stream"],
    ["PAR1\x15\x04", "Parquet"],
  ];
  for (const [text, format] of starts) {
    expect(knownFormat(Buffer.from(text, "latin1"))).toBe(format);
  }
  for (const text of ["", "BZh9", "[1]", "hello", "ARROW", "\x1f\x8b"]) {
    expect(knownFormat(Buffer.from(text, "latin1"))).toBeUndefined();
  }
});
