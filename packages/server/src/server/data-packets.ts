import { PartdError } from "@partd/core";
import { allocateBytes, describeArgument, isBytes } from "@partd/core/author";
import { LAST, Type } from "../protocol/constants.js";
import type { Outbox } from "./outbox.js";

// DATA packets: the values and numbers of an answer as they are sent. What the store returned is
// checked first, so that a wrong answer fails one request. If it were sent, it would end the connection
// and all its other requests, or reveal memory that the value does not fill.

/** From this many bytes on, a value is sent without a copy. */
const ATTACH_FROM = 65_536;
/** The most bytes of a count: its head, and 8 bytes of varint. */
export const COUNT_BYTES = 9;

/** Writes whole values. */
export function writeValues(
  { writer }: Outbox,
  flags: number,
  number: number,
  values: readonly Uint8Array[],
): void {
  const packet = writer.begin(Type.DATA, flags, 8);
  writer.varint(number);
  for (const value of values) {
    const attached = value.byteLength >= ATTACH_FROM;
    writer.reserve(attached ? 8 : 8 + value.byteLength);
    writer.varint(value.byteLength * 2);
    if (attached) writer.attach(value);
    else writer.raw(value);
  }
  writer.end(packet);
}

/** Writes one piece of a value, and whether more of it follows. */
export function writeSegment(
  { writer }: Outbox,
  number: number,
  piece: Uint8Array,
  more: boolean,
  flags = 0,
): void {
  // Each part is a WebSocket frame, and a client takes 16,384 of them in a message.
  const attached = piece.byteLength >= ATTACH_FROM;
  const packet = writer.begin(Type.DATA, flags, 16 + (attached ? 0 : piece.byteLength));
  writer.varint(number);
  writer.varint(piece.byteLength * 2 + (more ? 1 : 0));
  if (attached) writer.attach(piece);
  else writer.raw(piece);
  writer.end(packet);
}

/** Answers with counts, each as a string that holds its varint. */
export function writeCounts({ writer }: Outbox, number: number, counts: readonly number[]): void {
  const packet = writer.begin(Type.DATA, 0, 8 + counts.length * COUNT_BYTES);
  writer.varint(number);
  for (const count of counts) {
    const head = writer.offset++;
    writer.varint(count);
    writer.bytes[head] = 2 * (writer.offset - head - 1);
  }
  writer.end(packet);
}

/** Ends an answer; without values it is the whole answer. */
export function endAnswer(outbox: Outbox, flags: number, number: number): void {
  const packet = outbox.writer.begin(Type.DATA, flags | LAST, 8);
  outbox.writer.varint(number);
  outbox.writer.end(packet);
  outbox.schedule();
}

/**
 * Memory for the values of an answer. A store reads them into it as they will be sent, in order, each
 * behind its head: one copy between the store and the system instead of three.
 */
export class ValueBlock {
  readonly #take: () => Uint8Array<ArrayBuffer>;
  #memory: Uint8Array<ArrayBuffer> | undefined;
  #offset = 0;
  readonly #places: Uint8Array[] = [];

  /** @param take allocates the memory; called when the store begins to read, which may be late. */
  constructor(take: () => Uint8Array<ArrayBuffer>) {
    this.#take = take;
  }

  /** The memory in which the values lie. */
  get memory(): Uint8Array<ArrayBuffer> {
    this.#memory ??= this.#take();
    return this.#memory;
  }

  /** For `GetOptions.allocate`. */
  readonly allocate = (byteLength: number): Uint8Array => {
    const fits = this.#offset + SEGMENT_HEAD + byteLength <= this.memory.byteLength;
    const place = fits ? this.#place(byteLength) : allocateBytes(byteLength);
    this.#places.push(place);
    return place;
  };

  /** Whether all the values lie in this block. */
  holds(values: readonly Uint8Array[]): boolean {
    return (
      values.length === this.#places.length &&
      values.every((value, i) => value === this.#places[i] && value.buffer === this.memory.buffer)
    );
  }

  /** The values with their heads. */
  get bytes(): Uint8Array {
    return this.memory.subarray(0, this.#offset);
  }

  #place(byteLength: number): Uint8Array {
    let head = byteLength * 2;
    for (; head >= 0x80; head >>>= 7) this.memory[this.#offset++] = (head & 0x7f) | 0x80;
    this.memory[this.#offset++] = head;
    const start = this.#offset;
    this.#offset += byteLength;
    return this.memory.subarray(start, this.#offset);
  }
}

/** The longest head of a value: a block is far shorter than 2^27 bytes. */
export const SEGMENT_HEAD = 4;

/** @throws `ERR_PARTD_IO` unless there is a byte string for each key. */
export function checkValues(
  name: "get" | "pop",
  values: readonly Uint8Array[],
  count: number,
): readonly Uint8Array[] {
  checkList(name, values, count);
  for (const value of values) if (!isBytes(value)) throw wrong(name, "Uint8Arrays", value);
  return values;
}

/** @throws `ERR_PARTD_IO` unless it is a byte string. */
export function checkPiece(piece: Uint8Array): Uint8Array {
  if (isBytes(piece)) return piece;
  throw wrong("stream", "Uint8Arrays", piece);
}

/** @throws `ERR_PARTD_IO` unless there is a count of bytes, or of keys, for each. */
export function checkCounts(
  name: "sizes" | "count",
  counts: readonly number[],
  asked: number,
): readonly number[] {
  checkList(name, counts, asked);
  for (const count of counts) {
    if (!Number.isSafeInteger(count) || count < 0) throw wrong(name, "integers from 0 on", count);
  }
  return counts;
}

function checkList(name: string, list: readonly unknown[], count: number): void {
  const due = `one answer for each of ${count} keys`;
  if (!Array.isArray(list)) throw wrong(name, due, list);
  if (list.length !== count) throw wrong(name, due, list.length);
}

function wrong(name: string, due: string, given: unknown): PartdError {
  return new PartdError(
    "ERR_PARTD_IO",
    `${name} of the served store has to return ${due}, and returned ${describeArgument(given)}.`,
  );
}
