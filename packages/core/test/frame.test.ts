import { describe, expect, test } from "@jest/globals";
import { isPartdError } from "@partd/core";
import {
  allocateEncoded,
  behindHeadroom,
  concatBytes,
  FRAME_HEADER,
  type Frame,
  frame,
  splitFrames,
  streamFrames,
} from "@partd/core/author";
import fc from "fast-check";

const contents = fc.array(fc.uint8Array({ maxLength: 30 }), { maxLength: 6 });

describe("frames", () => {
  test("a frame is a 64-bit little-endian length and the bytes", () => {
    const framed = frame(new Uint8Array(300).fill(7));
    expect([...framed.subarray(0, 10)]).toEqual([44, 1, 0, 0, 0, 0, 0, 0, 7, 7]);
    expect(framed.byteLength).toBe(308);
    expect([...frame(new Uint8Array(0))]).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
  });

  test("split gives what was framed, with offsets", () => {
    fc.assert(
      fc.property(contents, (contents) => {
        const value = concatBytes(contents.map(frame));
        const frames = splitFrames(value, "x");
        expect(frames.map(({ bytes }) => [...bytes])).toEqual(contents.map((one) => [...one]));
        let offset = 0;
        for (const [i, one] of frames.entries()) {
          expect(one.offset).toBe(offset);
          offset += FRAME_HEADER + (contents[i] as Uint8Array).byteLength;
        }
      }),
    );
  });

  test("streaming equals splitting, in whatever pieces the value comes", async () => {
    await fc.assert(
      fc.asyncProperty(contents, fc.array(fc.nat(40)), async (contents, lengths) => {
        const value = concatBytes(contents.map(frame));
        const streamed = await collect(streamFrames(pieces(value, lengths), "x"));
        expect(streamed.map(plain)).toEqual(splitFrames(value, "x").map(plain));
      }),
    );
  });

  test("a value of two frames, split at every offset", async () => {
    const value = concatBytes([frame(Uint8Array.of(1, 2, 3)), frame(Uint8Array.of(4))]);
    const whole = splitFrames(value, "x").map(plain);
    for (let cut = 0; cut <= value.byteLength; cut++) {
      expect((await collect(streamFrames(pieces(value, [cut]), "x"))).map(plain)).toEqual(whole);
    }
  });

  test("a value cut at any offset but a frame's end is corrupt, split or streamed", async () => {
    const value = concatBytes([
      frame(Uint8Array.of(1, 2, 3)),
      frame(new Uint8Array(0)),
      frame(Uint8Array.of(4)),
    ]);
    const starts = splitFrames(value, "x").map(({ offset }) => offset);
    for (let cut = 0; cut < value.byteLength; cut++) {
      const damaged = value.subarray(0, cut);
      const streaming = collect(streamFrames(pieces(damaged, [5, 0, 5]), "key"));
      if (starts.includes(cut)) {
        expect(splitFrames(damaged, "key").length).toBe(starts.indexOf(cut));
        expect((await streaming).length).toBe(starts.indexOf(cut));
        continue;
      }
      const offset = starts.findLast((start) => start < cut);
      for (const error of [
        await streaming.catch((error: unknown) => error),
        thrown(() => splitFrames(damaged, "key")),
      ]) {
        expect(isPartdError(error, "ERR_PARTD_CORRUPT")).toBe(true);
        expect(error).toMatchObject({ key: "key", offset });
      }
    }
  });

  test("a length of any size is read, up to 2^64 - 1", () => {
    for (const bytes of [
      [0, 0, 0, 128, 0, 0, 0, 0],
      [0, 0, 0, 0, 1, 0, 0, 0],
      new Array(8).fill(255),
    ]) {
      const error = thrown(() => splitFrames(Uint8Array.from([...bytes, 1, 2, 3]), "x"));
      expect(isPartdError(error, "ERR_PARTD_CORRUPT")).toBe(true);
    }
  });

  test("a frame that spans many pieces is gathered in linear time and space", async () => {
    const value = frame(new Uint8Array(200_000).map((_, i) => i));
    const [whole] = await collect(streamFrames(pieces(value, new Array(200_000).fill(1)), "x"));
    expect(whole?.bytes).toEqual(value.subarray(FRAME_HEADER));
  });
});

describe("headroom", () => {
  test("is where a header is written, without a copy, and only once", () => {
    const encoded = allocateEncoded(3000).fill(7);
    const framed = frame(encoded);
    expect([framed.buffer, framed.byteOffset]).toEqual([encoded.buffer, encoded.byteOffset - 8]);
    expect(framed).toEqual(frame(new Uint8Array(3000).fill(7)));
    const again = frame(encoded);
    expect(again.buffer).not.toBe(encoded.buffer);
    expect(again).toEqual(framed);
  });

  test("is the beginning of bytes that a codec made itself", () => {
    const made = Uint8Array.from({ length: 20 }, (_, i) => i);
    const framed = frame(behindHeadroom(made));
    expect(framed.buffer).toBe(made.buffer);
    expect([...framed]).toEqual([12, 0, 0, 0, 0, 0, 0, 0, ...made.slice(8)]);
  });

  test("is not what stands in front of a view", () => {
    const value = Uint8Array.from({ length: 2000 }, (_, i) => i);
    const framed = frame(value.subarray(8));
    expect(framed.buffer).not.toBe(value.buffer);
    expect([...value.subarray(0, 9)]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  });
});

test("text in the place of frames is told by its first piece, and not gathered to its end", async () => {
  let read = 0;
  async function* text(): AsyncGenerator<Uint8Array> {
    for (; read < 1_000; read++) yield new TextEncoder().encode('{"user":"ann"}\n'.repeat(1_000));
  }
  await expect(collect(streamFrames(text(), "x"))).rejects.toMatchObject({
    code: "ERR_PARTD_CORRUPT",
    key: "x",
    offset: 0,
  });
  expect(read).toBe(0);
});

async function* pieces(value: Uint8Array, lengths: readonly number[]): AsyncGenerator<Uint8Array> {
  let start = 0;
  for (const length of lengths) {
    yield value.subarray(start, start + length);
    start += length;
  }
  yield value.subarray(start);
}

function plain({ bytes, offset }: Frame): unknown {
  return [offset, ...bytes];
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

function thrown(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error("it should have thrown");
}
