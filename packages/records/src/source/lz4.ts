/**
 * Decompresses a block of LZ4 (lz4_Block_format.md) to `output` from `at` on. Its matches may copy bytes of
 * earlier blocks.
 *
 * @returns the end of what was written.
 * @throws an Error for damaged bytes, and where `output` is too short.
 */
export function lz4Block(input: Uint8Array, output: Uint8Array, at = 0): number {
  let from = 0;
  let to = at;
  const lengthBehind = (nibble: number): number => {
    let length = nibble;
    if (nibble < 15) return length;
    for (let byte = 255; byte === 255; length += byte) {
      if (from >= input.length) throw damaged();
      byte = input[from++]!;
    }
    return length;
  };
  while (from < input.length) {
    const token = input[from++]!;
    const literals = lengthBehind(token >> 4);
    if (from + literals > input.length || to + literals > output.length) throw damaged();
    output.set(input.subarray(from, from + literals), to);
    from += literals;
    to += literals;
    // The last sequence has only literals.
    if (from === input.length) return to;
    if (from + 2 > input.length) throw damaged();
    const offset = input[from]! | (input[from + 1]! << 8);
    from += 2;
    const end = to + SHORTEST_MATCH + lengthBehind(token & 15);
    if (offset === 0 || offset > to || end > output.length) throw damaged();
    // An overlapping match repeats bytes that it has just written, so it is copied byte by byte.
    if (end - to <= offset) output.copyWithin(to, to - offset, end - offset);
    else for (let i = to; i < end; i++) output[i] = output[i - offset]!;
    to = end;
  }
  throw damaged();
}

/** Decompresses a frame of LZ4 (lz4_Frame_format.md), without checking its checksums. */
export function lz4Frame(input: Uint8Array): Uint8Array {
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  if (input.length < 7 || view.getUint32(0, true) !== FRAME) throw damaged();
  const flags = input[4]!;
  const mostOfBlock = 1 << (8 + 2 * ((input[5]! >> 4) & 7));
  // Skip the content's size, the dictionary's number, and the header's checksum.
  let from = 6 + (flags & 8 ? 8 : 0) + (flags & 1 ? 4 : 0) + 1;
  let output = new Uint8Array(0);
  let at = 0;
  for (;;) {
    if (from + 4 > input.length) throw damaged();
    const size = view.getUint32(from, true);
    from += 4;
    if (size === 0) return output.subarray(0, at);
    const isPlain = size >= 2 ** 31;
    const block = input.subarray(from, from + (isPlain ? size - 2 ** 31 : size));
    from += block.length + (flags & 16 ? 4 : 0);
    const most = Math.min(mostOfBlock, MOST_RATIO * block.length);
    if (output.length - at < most) {
      const grown = new Uint8Array(output.length + Math.max(output.length, most));
      grown.set(output);
      output = grown;
    }
    if (isPlain) {
      output.set(block, at);
      at += block.length;
    } else at = lz4Block(block, output, at);
  }
}

function damaged(): Error {
  return new Error("LZ4 data is damaged.");
}

const FRAME = 0x184d2204;
const SHORTEST_MATCH = 4;
/** The most bytes that one byte of a block decompresses to. */
const MOST_RATIO = 255;
