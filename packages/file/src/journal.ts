import { constants, type Stats } from "node:fs";
import { crc32 } from "@partd/disk";
import type { Steps } from "./disk.js";
import { readAll, writeAll } from "./file-steps.js";

/** A file that a batch touches, as it was before. */
export interface Touched {
  readonly key: string;
  readonly aside: boolean;
  /** Bytes the file held. None: there was no such key. */
  readonly length: number;
}

/** What a process that died while it held the lock was about to do. */
export type Unfinished =
  | { readonly kind: "append"; readonly touched: readonly Touched[] }
  | { readonly kind: "delete"; readonly keys: readonly string[] }
  | { readonly kind: "drop" };

/**
 * What makes a change whole: before the change is begun it is written down here, and when it is done
 * that is crossed out. Whoever takes the lock and finds a note cuts the files of an append back, and
 * carries a deletion to its end.
 *
 * The file: a count of removals (float64) and 8 bytes of room; then records, each of a header
 * (magic, kind, batch float64, number within the batch, body length, CRC-32 of the body, CRC-32 of
 * the header; uint32 where nothing else is said, all little-endian) and a body: a line for each
 * file, `<0 or 1 for aside> <length> <encoded key>`. A record that is torn was never followed by the
 * change that it announces. The journal is crossed out by overwriting the first record's magic.
 */
export class Journal {
  readonly #path: string;
  readonly #fsync: boolean;
  #fd = -1;
  #end = RECORDS;
  #batch = 0;
  #number = 0;
  #removals = 0;
  /** Crossing out has begun and did not end well: whether the note stands is not known. */
  #doubtful = false;
  #scratch = Buffer.allocUnsafe(4096);

  constructor(path: string, fsync: boolean) {
    this.#path = path;
    this.#fsync = fsync;
  }

  /**
   * How often keys were removed or replaced, by whichever process. While it stays the same, what is
   * open is what is there.
   */
  get removals(): number {
    return this.#removals;
  }

  /** Whether a change has begun that is not done. */
  get active(): boolean {
    return this.#number > 0;
  }

  /** To be run when the lock was taken. */
  *read(): Steps<Unfinished | undefined> {
    yield* this.#reopen();
    this.#number = 0;
    this.#end = RECORDS;
    this.#doubtful = false;
    const start = Buffer.alloc(RECORDS + HEADER);
    const count = yield* readAll(this.#fd, start, 0);
    this.#removals = count >= 8 ? start.readDoubleLE(0) : 0;
    if (count < start.byteLength || start.readUInt32LE(RECORDS) !== MAGIC) return undefined;
    const { size } = (yield ["fstat", this.#fd]) as Stats;
    const bytes = Buffer.allocUnsafe(size - RECORDS);
    const length = yield* readAll(this.#fd, bytes, RECORDS);
    const unfinished = parse(bytes.subarray(0, length));
    if (unfinished) this.#number = 1; // Until it is crossed out, nothing else may be begun.
    return unfinished;
  }

  /** Writes down the files of an append, or more files of the one that is under way. */
  *beginAppend(touched: readonly Touched[]): Steps<void> {
    let lines = "";
    for (const { aside, length, key } of touched) lines += `${aside ? 1 : 0} ${length} ${key}\n`;
    yield* this.#write(APPEND, lines);
  }

  *beginDelete(keys: readonly string[]): Steps<void> {
    yield* this.countRemoval();
    yield* this.#write(DELETE, keys.map((key) => `0 0 ${key}\n`).join(""));
  }

  *beginDrop(): Steps<void> {
    yield* this.countRemoval();
    yield* this.#write(DROP, "");
  }

  /** To be run before a key's file is removed or replaced. */
  *countRemoval(): Steps<void> {
    const count = Buffer.allocUnsafe(8);
    count.writeDoubleLE(this.#removals + 1);
    yield* writeAll(this.#fd, count, 0);
    this.#removals++;
  }

  /** The change is whole, or undone. If this fails it counts as neither. */
  *clear(): Steps<void> {
    this.#doubtful = true;
    yield* this.#overwrite(CROSSED_OUT);
    const long = this.#end > LONG_JOURNAL;
    this.#number = 0;
    this.#end = RECORDS;
    if (!long) return;
    try {
      yield ["ftruncate", this.#fd, RECORDS + HEADER];
    } catch {
      // The change is crossed out all the same; what follows is overwritten by the next ones.
    }
  }

  /**
   * To be run before a change is undone: until that is done the note has to stand, and it may have
   * been crossed out by a `clear` that failed.
   */
  *reinstate(): Steps<void> {
    if (this.#doubtful) yield* this.#overwrite(STANDING);
  }

  *close(): Steps<void> {
    const fd = this.#fd;
    this.#fd = -1;
    this.#number = 0;
    if (fd >= 0) yield ["close", fd];
  }

  *#overwrite(magic: Buffer): Steps<void> {
    yield* writeAll(this.#fd, magic, RECORDS);
    if (this.#fsync) yield ["fdatasync", this.#fd];
    this.#doubtful = false;
  }

  /** Opens the journal unless it is open and still the one that is there. */
  *#reopen(): Steps<void> {
    if (this.#fd >= 0) {
      const { nlink } = (yield ["fstat", this.#fd]) as Stats;
      if (nlink > 0) return;
      yield* this.close();
    }
    const flags = constants.O_RDWR | constants.O_CREAT;
    this.#fd = (yield ["open", this.#path, flags, 0o666]) as number;
  }

  *#write(kind: number, body: string): Steps<void> {
    if (this.#number === 0) this.#batch = nextBatch(this.#batch);
    const length = HEADER + body.length;
    if (length > this.#scratch.byteLength) this.#scratch = Buffer.allocUnsafe(2 * length);
    const record = this.#scratch.subarray(0, length);
    record.write(body, HEADER, "latin1");
    record.writeUInt32LE(MAGIC, 0);
    record.writeUInt32LE(kind, 4);
    record.writeDoubleLE(this.#batch, 8);
    record.writeUInt32LE(this.#number, 16);
    record.writeUInt32LE(body.length, 20);
    record.writeUInt32LE(crc32(record.subarray(HEADER)), 24);
    record.writeUInt32LE(crc32(record.subarray(0, 28)), 28);
    this.#number++;
    yield* writeAll(this.#fd, record, this.#end);
    this.#end += length;
    if (this.#fsync) yield ["fdatasync", this.#fd];
  }
}

/** The change that the records tell of; none if the first is torn, for then it had not begun. */
function parse(bytes: Buffer): Unfinished | undefined {
  const touched: Touched[] = [];
  let batch = 0;
  let offset = 0;
  for (let number = 0; ; number++) {
    const header = bytes.subarray(offset, offset + HEADER);
    if (header.byteLength < HEADER || header.readUInt32LE(0) !== MAGIC) break;
    if (crc32(header.subarray(0, 28)) !== header.readUInt32LE(28)) break;
    const body = bytes.subarray(offset + HEADER, offset + HEADER + header.readUInt32LE(20));
    if (body.byteLength < header.readUInt32LE(20)) break;
    if (crc32(body) !== header.readUInt32LE(24)) break;
    if (number === 0) batch = header.readDoubleLE(8);
    // What follows the records of this batch is left from an earlier one.
    if (header.readDoubleLE(8) !== batch || header.readUInt32LE(16) !== number) break;
    const kind = header.readUInt32LE(4);
    if (kind === DROP) return { kind: "drop" };
    for (const line of body.toString("latin1").split("\n").slice(0, -1)) {
      touched.push(parseLine(line));
    }
    if (kind === DELETE) return { kind: "delete", keys: touched.map(({ key }) => key) };
    offset += HEADER + body.byteLength;
  }
  return offset > 0 ? { kind: "append", touched } : undefined;
}

function parseLine(line: string): Touched {
  const space = line.indexOf(" ", 2);
  return {
    aside: line.startsWith("1"),
    length: Number(line.slice(2, space)),
    key: line.slice(space + 1),
  };
}

/** Never the number of a batch that has left records here, whichever process wrote them. */
function nextBatch(last: number): number {
  return last === 0 ? 1 + Math.floor(Math.random() * 2 ** 52) : last + 1;
}

const MAGIC = 0x6a647470; // "ptdj"
const STANDING = Buffer.from("ptdj", "latin1");
const CROSSED_OUT = Buffer.alloc(4);
const APPEND = 1;
const DELETE = 2;
const DROP = 3;
/** Where the records begin, and the length of a header, in bytes. */
const RECORDS = 16;
const HEADER = 32;
const LONG_JOURNAL = 2 ** 20;
