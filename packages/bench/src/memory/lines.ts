/** Bytes of a line of {@link linesOf}, with its newline. */
export const LINE_BYTES = 100;

/**
 * Lines of JSON in pieces of 1 MB: `{"user":"u00000042","ms":1234,"path":"/…"}`. All keys come once, in scattered
 * order, then all again.
 */
export async function* linesOf(records: number, keys: number): AsyncGenerator<Uint8Array> {
  // No common factor with a power of ten, and far apart for neighbours.
  const step = keys > 1 ? 6_180_339 : 1;
  let key = 0;
  for (let first = 0; first < records; first += PIECE) {
    const lines = Math.min(PIECE, records - first);
    // A reader may look at a piece until it asks for the next one, and keeps none.
    const piece = TEMPLATE.subarray(0, lines * LINE_BYTES);
    for (let at = 0; at < piece.length; at += LINE_BYTES) {
      key = (key + step) % keys;
      let rest = key;
      for (let digit = at + KEY_END; digit > at + KEY_END - 8; digit--) {
        const tenth = (rest / 10) | 0;
        piece[digit] = 0x30 + rest - 10 * tenth;
        rest = tenth;
      }
      piece[at + MS_END] = 0x30 + (key % 10);
    }
    yield piece;
  }
}

const PIECE = 10_000;
const HEAD = '{"user":"u00000000","ms":1000,"path":"/';
const LINE = `${HEAD.padEnd(LINE_BYTES - 3, "x")}"}\n`;
const TEMPLATE = Buffer.from(LINE.repeat(PIECE));
const KEY_END = LINE.indexOf('","ms"') - 1;
const MS_END = LINE.indexOf(',"path"') - 1;

/** Bytes of {@link hugeRecord}. */
export const HUGE_BYTES = 200e6;

/** One line of JSON in pieces. */
export function* hugeRecord(): Generator<Uint8Array> {
  const head = Buffer.from('{"user":"huge","path":"');
  const tail = Buffer.from('"}\n');
  yield head;
  const piece = Buffer.alloc(1e6, "x");
  for (let left = HUGE_BYTES - head.length - tail.length; left > 0; left -= piece.length) {
    yield piece.subarray(0, Math.min(left, piece.length));
  }
  yield tail;
}
