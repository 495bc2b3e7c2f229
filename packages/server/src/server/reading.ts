import { encodeKey } from "@partd/core";
import { allocateBytes, type LowerStore, sizesOf, WaitQueue } from "@partd/core/author";
import { Type } from "../protocol/constants.js";
import type { Census, CountedKey } from "./census.js";
import {
  COUNT_BYTES,
  checkCounts,
  checkPiece,
  checkValues,
  endAnswer,
  SEGMENT_HEAD,
  ValueBlock,
  writeCounts,
  writeSegment,
  writeValues,
} from "./data-packets.js";
import { type Outbox, SPARE_BYTES } from "./outbox.js";

/** Values up to this size are read several at once, larger ones piece by piece. */
const SMALL = 262_144;
const PIECE_BYTES = 262_144;
/** The most sizes that are asked of the store at once. */
const SIZES_AT_ONCE = 1_024;

/** What a reading request reads from, and where its answer goes. */
export interface ReadContext {
  readonly store: LowerStore;
  readonly census: Census;
  readonly outbox: Outbox;
  readonly number: number;
  /** Whether it runs under the lock that the connection holds. */
  readonly inside: boolean;
  readonly signal: AbortSignal;
  /** Adds to the count of bytes that were read. */
  read(bytes: number): void;
}

/** Answers a reading request. */
export function answerRead(
  context: ReadContext,
  type: number,
  keys: readonly CountedKey[],
  credit: Credit,
): Promise<void> {
  switch (type) {
    case Type.GET:
      return answerGet(context, keys);
    case Type.STREAM:
      return answerStream(context, keys[0] as CountedKey, credit);
    case Type.KEYS:
      return answerKeys(context, credit);
    case Type.SIZES:
      return answerSizes(context, keys);
    case Type.COUNT:
      return answerCount(context);
    default:
      return answerFlush(context);
  }
}

/** Answers GET. It holds only a little at a time, however much was asked for. */
async function answerGet(context: ReadContext, keys: readonly CountedKey[]): Promise<void> {
  const { outbox, number, inside, signal } = context;
  for (let i = 0; i < keys.length; ) {
    const [group, known] = groupAt(keys, i);
    if (group.length === 0) {
      await answerWhole(context, keys[i] as CountedKey);
      i++;
      continue;
    }
    const written = await outbox.room(known, inside, signal);
    let rest: readonly Uint8Array[];
    try {
      rest = await answerGroup(context, group, known);
    } finally {
      written();
    }
    outbox.schedule();
    await sendPieces(outbox, 0, number, rest, inside, signal);
    i += group.length;
  }
  endAnswer(outbox, 0, number);
}

/**
 * Sends values that take `known` bytes with their heads, in one block.
 *
 * @returns the values, not sent, if they did not fit because they grew by appends of other programs.
 */
async function answerGroup(
  { store, outbox, number, signal, read }: ReadContext,
  group: readonly CountedKey[],
  known: number,
): Promise<readonly Uint8Array[]> {
  const { spares, writer } = outbox;
  // Thousands of small answers may wait for the store, so each takes no more than its values.
  const isSmall = known < SPARE_BYTES / 8;
  const block = new ValueBlock(() => (isSmall ? allocateBytes(known) : spares.take()));
  // After a failure the memory is not reused: the store may still be reading into it.
  const given = await store.get(
    group.map(({ key }) => key),
    { signal, allocate: block.allocate },
  );
  const values = checkValues("get", given, group.length);
  const bytes = values.reduce((sum, { byteLength }) => sum + byteLength, 0);
  read(bytes);
  if (block.holds(values)) {
    const packet = writer.begin(Type.DATA, 0, 8);
    writer.varint(number);
    writer.attach(block.bytes, isSmall ? undefined : block.memory);
    writer.end(packet);
  } else {
    if (bytes > 2 * SPARE_BYTES) return values;
    writeValues(outbox, 0, number, values);
  }
  return [];
}

/** Answers STREAM in pieces, as the client's credit allows. */
async function answerStream(context: ReadContext, key: CountedKey, credit: Credit): Promise<void> {
  const { outbox, number } = context;
  await inPieces(context, key, credit, (piece) => {
    writeSegment(outbox, number, piece, false);
    context.read(piece.byteLength);
    outbox.schedule();
  });
  endAnswer(outbox, 0, number);
}

/** Answers KEYS. */
async function answerKeys(context: ReadContext, credit: Credit): Promise<void> {
  const { store, outbox, number, inside, signal } = context;
  let texts: Uint8Array[] = [];
  let bytes = 0;
  for await (const key of store.keys({ signal })) {
    const text = ascii.encode(encodeKey(key));
    texts.push(text);
    bytes += text.byteLength;
    if (bytes >= 16_384) await send();
  }
  await send();
  endAnswer(outbox, 0, number);

  async function send(): Promise<void> {
    await credit.take(bytes, signal);
    const written = await outbox.room(bytes, inside, signal);
    writeValues(outbox, 0, number, texts);
    written();
    outbox.schedule();
    texts = [];
    bytes = 0;
  }
}

/** Answers SIZES. */
async function answerSizes(context: ReadContext, keys: readonly CountedKey[]): Promise<void> {
  const { store, outbox, number, signal } = context;
  for (let i = 0; i < keys.length; i += SIZES_AT_ONCE) {
    const some = keys.slice(i, i + SIZES_AT_ONCE).map(({ key }) => key);
    const sizes = await sizesOf(store, some, { signal });
    await sendCounts(context, checkCounts("sizes", sizes, some.length));
  }
  endAnswer(outbox, 0, number);
}

/** Answers COUNT. */
async function answerCount(context: ReadContext): Promise<void> {
  const { store, outbox, number, signal } = context;
  await sendCounts(context, checkCounts("count", [await store.count({ signal })], 1));
  endAnswer(outbox, 0, number);
}

/** Answers FLUSH. */
async function answerFlush({ store, outbox, number, signal }: ReadContext): Promise<void> {
  await store.flush({ signal });
  endAnswer(outbox, 0, number);
}

async function sendCounts(
  { outbox, number, inside, signal }: ReadContext,
  counts: readonly number[],
): Promise<void> {
  const written = await outbox.room(counts.length * COUNT_BYTES, inside, signal);
  writeCounts(outbox, number, counts);
  written();
  outbox.schedule();
}

/** Answers POP from values in memory, as fast as the client takes them. */
export async function answerValues(
  outbox: Outbox,
  flags: number,
  number: number,
  values: readonly Uint8Array[],
  inside: boolean,
  signal: AbortSignal,
): Promise<void> {
  await sendPieces(outbox, flags, number, values, inside, signal);
  endAnswer(outbox, flags, number);
}

async function sendPieces(
  outbox: Outbox,
  flags: number,
  number: number,
  values: readonly Uint8Array[],
  inside: boolean,
  signal: AbortSignal,
): Promise<void> {
  for (let i = 0; i < values.length; ) {
    const [small, bytes] = smallAt(values, i);
    if (small.length > 0) {
      const written = await outbox.room(bytes, inside, signal);
      writeValues(outbox, flags, number, small);
      written();
      outbox.schedule();
      i += small.length;
      continue;
    }
    const large = values[i++] as Uint8Array;
    let left = large.byteLength;
    for (const piece of cut(large, PIECE_BYTES)) {
      left -= piece.byteLength;
      const written = await outbox.room(piece.byteLength, inside, signal);
      writeSegment(outbox, number, piece, left > 0, flags);
      written();
      outbox.schedule();
    }
  }
}

/** How many more bytes of an answer a client accepts. */
export class Credit {
  #left: number;
  readonly #waiting = new WaitQueue();

  constructor(bytes: number) {
    this.#left = bytes;
  }

  give(bytes: number): void {
    this.#left += bytes;
    this.#waiting.resolveAll();
  }

  /** Resolves as soon as there is any credit; an excess is subtracted from the next. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    while (this.#left <= 0) {
      await this.#waiting.wait(undefined, signal);
    }
    this.#left -= bytes;
  }
}

/** Answers with a value that is large or of unknown size, in pieces. */
async function answerWhole(context: ReadContext, key: CountedKey): Promise<void> {
  const { outbox, number, census } = context;
  let held: Uint8Array | undefined;
  let bytes = 0;
  const before = key.bytes;
  await inPieces(context, key, undefined, (piece) => {
    if (held) writeSegment(outbox, number, held, true);
    held = piece; // Only the next read shows whether this piece is the last.
    bytes += piece.byteLength;
    outbox.schedule();
  });
  writeSegment(outbox, number, held ?? NOTHING, false);
  outbox.schedule();
  context.read(bytes);
  // Its size is known now, unless it grew meanwhile.
  if (!key.exact && key.bytes === before) census.setSize(key, bytes);
}

/**
 * Yields pieces of a value, each taken from the store only when it has room on its way to the client.
 */
async function inPieces(
  { store, outbox, inside, signal }: ReadContext,
  key: CountedKey,
  credit: Credit | undefined,
  use: (piece: Uint8Array) => void,
): Promise<void> {
  const pieces = store.stream(key.key, { signal })[Symbol.asyncIterator]();
  try {
    for (;;) {
      await credit?.take(0, signal);
      const written = await outbox.room(PIECE_BYTES, inside, signal);
      try {
        const next = await pieces.next();
        if (next.done) return;
        const value = checkPiece(next.value);
        await credit?.take(value.byteLength, signal);
        for (const piece of cut(value, PIECE_BYTES)) use(piece);
      } finally {
        written();
      }
    }
  } finally {
    await pieces.return?.();
  }
}

/**
 * The keys from `start` on that can be read at once, and their bytes; none if the first is too large.
 */
function groupAt(keys: readonly CountedKey[], start: number): [CountedKey[], number] {
  const group: CountedKey[] = [];
  let bytes = 0;
  for (let i = start; i < keys.length && group.length < 4_096; i++) {
    const key = keys[i] as CountedKey;
    const next = bytes + key.bytes + SEGMENT_HEAD;
    if (!key.exact || key.bytes > SMALL || next > SPARE_BYTES) break;
    group.push(key);
    bytes = next;
  }
  return [group, bytes];
}

/**
 * The values from `start` on that together make a piece, and their bytes; none if the first is longer.
 */
function smallAt(values: readonly Uint8Array[], start: number): [readonly Uint8Array[], number] {
  let end = start;
  let bytes = 0;
  for (; end < values.length && end - start < 4_096; end++) {
    const next = bytes + (values[end] as Uint8Array).byteLength;
    if (next > PIECE_BYTES) break;
    bytes = next;
  }
  return [values.slice(start, end), bytes];
}

function* cut(bytes: Uint8Array, length: number): Generator<Uint8Array, void, undefined> {
  for (let start = 0; start < bytes.byteLength; start += length) {
    yield bytes.subarray(start, start + length);
  }
}

const ascii = new TextEncoder();
const NOTHING = new Uint8Array(0);
