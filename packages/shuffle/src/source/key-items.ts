/** Where the items of an encoded list lie (docs/keys.md). */
export function* keyItems(
  keys: Uint8Array,
  start: number,
  end: number,
): Generator<readonly [start: number, end: number]> {
  let at = start + 1;
  if (keys[start] === LIST) {
    const view = new DataView(keys.buffer, keys.byteOffset);
    while (at < end) {
      const length = view.getUint32(at);
      yield [at + 4, at + 4 + length];
      at += 4 + length;
    }
    return;
  }
  while (at < end && keys[at] !== CLOSE_BRACKET) {
    const itemEnd = jsonEnd(keys, at, end);
    yield [at, itemEnd];
    at = itemEnd + 1;
  }
}

/** The end of an item in a list of JSON without spaces. */
function jsonEnd(keys: Uint8Array, start: number, end: number): number {
  let depth = 0;
  for (let at = start; at < end; at++) {
    const byte = keys[at];
    if (byte === QUOTE) {
      for (at++; keys[at] !== QUOTE; at++) if (keys[at] === BACKSLASH) at++;
    } else if (byte === OPEN_BRACKET) depth++;
    else if (byte === CLOSE_BRACKET) {
      if (depth-- === 0) return at;
    } else if (byte === COMMA && depth === 0) return at;
  }
  return end;
}

const LIST = 4;
const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
