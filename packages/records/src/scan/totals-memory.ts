import type { KeyTotals } from "../records.js";

/** The totals of `scan.c`: keys with their numbers, in the memory between the fields' names and the input. */
export class TotalsMemory {
  readonly #exports: TotalsExports;
  /** Grows the memory, which detaches all views. */
  readonly #reserve: (byteLength: number) => void;
  readonly #start: number;
  /** Doubles of a row. */
  readonly #width: number;
  #layout: Layout;

  /** @param values number of value fields. */
  constructor(
    exports: TotalsExports,
    start: number,
    values: number,
    reserve: (byteLength: number) => void,
  ) {
    this.#exports = exports;
    this.#reserve = reserve;
    this.#start = align(start);
    this.#width = 1 + 4 * values;
    this.#layout = layoutFor(this.#start, this.#width, 0, 0);
  }

  /** Where the next memory begins. */
  get end(): number {
    return this.#layout.end;
  }

  get count(): number {
    return this.#words[WORDS.count]!;
  }

  /** Room for keys that is not used takes no memory yet. */
  get byteLength(): number {
    const { bytesRoom, end } = this.#layout;
    return end - this.#start - bytesRoom + this.#keysEnd;
  }

  hasRoom(records: number, keyBytes: number): boolean {
    const { keysRoom, bytesRoom } = this.#layout;
    return this.count + records <= keysRoom && this.#keysEnd + keyBytes <= bytesRoom;
  }

  /**
   * Makes room for more keys, and overwrites what is behind {@link end}, except for the next `behind`
   * bytes, which are moved.
   */
  grow(records: number, keyBytes: number, behind: number): void {
    const { count } = this;
    const keysEnd = this.#keysEnd;
    const old = this.#layout;
    const keysRoom = 2 ** Math.ceil(Math.log2(Math.max(1024, count + records, old.keysRoom)));
    const bytesRoom = Math.max(old.bytesRoom, Math.ceil(1.5 * (keysEnd + keyBytes)));
    const layout = layoutFor(this.#start, this.#width, keysRoom, bytesRoom);
    this.#layout = layout;
    this.#reserve(layout.end + behind);
    const memory = new Uint8Array(this.#exports.memory.buffer);
    // From the end: each part moves up, over what has been moved already.
    memory.copyWithin(layout.end, old.end, old.end + behind);
    memory.copyWithin(layout.bytes, old.bytes, old.bytes + keysEnd);
    memory.copyWithin(layout.ends, old.ends, old.ends + 4 * count);
    memory.copyWithin(layout.rows, old.rows, old.rows + 8 * this.#width * count);
    memory.fill(0, layout.slots, layout.rows);
    const words = this.#words;
    words[WORDS.slots] = layout.slots;
    words[WORDS.mask] = 2 * keysRoom - 1;
    words[WORDS.rows] = layout.rows;
    words[WORDS.ends] = layout.ends;
    words[WORDS.bytes] = layout.bytes;
    words[WORDS.room] = bytesRoom;
    this.#exports.fillSlots();
  }

  /** A copy of all. */
  take(): KeyTotals {
    const { buffer } = this.#exports.memory;
    const { count } = this;
    const { slots, rows, ends, bytes, keysRoom } = this.#layout;
    const table = new Float64Array(buffer, rows, this.#width * count);
    const column = (at: number) => {
      const values = new Float64Array(count);
      for (let n = 0; n < count; n++) values[n] = table[n * this.#width + at]!;
      return values;
    };
    const hashLow = new Uint32Array(count);
    const hashHigh = new Uint32Array(count);
    const words = new Uint32Array(buffer, slots, (2 * keysRoom * SLOT_BYTES) / 4);
    for (let slot = 0; slot < words.length; slot += SLOT_BYTES / 4) {
      const mark = words[slot + 2]!;
      if (mark === 0) continue;
      hashLow[mark - 1] = words[slot]!;
      hashHigh[mark - 1] = words[slot + 1]!;
    }
    return {
      count,
      hashLow,
      hashHigh,
      keys: new Uint8Array(buffer, bytes, this.#keysEnd).slice(),
      keyEnds: new Uint32Array(buffer, ends, count).slice(),
      records: column(0),
      values: Array.from({ length: (this.#width - 1) / 4 }, (_, v) => ({
        counts: column(4 * v + 1),
        sums: column(4 * v + 2),
        minima: column(4 * v + 3),
        maxima: column(4 * v + 4),
      })),
    };
  }

  get #words(): Uint32Array {
    return new Uint32Array(this.#exports.memory.buffer, this.#exports.totals(), WORDS.count + 1);
  }

  get #keysEnd(): number {
    const { count } = this;
    if (count === 0) return 0;
    return new Uint32Array(this.#exports.memory.buffer, this.#layout.ends, count)[count - 1]!;
  }
}

export interface TotalsExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  totals(): number;
  fillSlots(): void;
}

interface Layout {
  readonly slots: number;
  readonly rows: number;
  readonly ends: number;
  readonly bytes: number;
  readonly end: number;
  readonly keysRoom: number;
  readonly bytesRoom: number;
}

/** Every address grows with the room. */
function layoutFor(start: number, width: number, keysRoom: number, bytesRoom: number): Layout {
  const slots = start;
  const rows = slots + 2 * SLOT_BYTES * keysRoom;
  const ends = align(rows + 8 * width * keysRoom);
  const bytes = align(ends + 4 * keysRoom);
  // Keys are read in steps of 16 bytes.
  return { slots, rows, ends, bytes, end: align(bytes + bytesRoom + 16), keysRoom, bytesRoom };
}

const SLOT_BYTES = 32;

/** Words of `struct Totals`. */
const WORDS = { slots: 0, mask: 1, rows: 2, ends: 3, bytes: 4, room: 5, count: 6 } as const;

function align(address: number): number {
  return Math.ceil(address / 64) * 64;
}

/** The held records of `scan.c`, in the memory behind the totals, whose table has their keys. */
export class PartnersMemory {
  readonly #exports: PartnersExports;
  #base: number;
  #room = FIRST_RECORD;

  constructor(exports: PartnersExports, base: number) {
    this.#exports = exports;
    this.#base = base;
    this.#words[PARTNER_WORDS.used] = FIRST_RECORD;
  }

  /** Where the following memory begins. */
  get end(): number {
    return this.#base + this.#room;
  }

  /** Bytes of the held records. */
  get used(): number {
    return this.#words[PARTNER_WORDS.used]!;
  }

  /** The index of the record that is being joined. */
  get record(): number {
    return this.#words[PARTNER_WORDS.record]!;
  }

  /** Bytes of the line that did not fit into the output. */
  get needed(): number {
    return this.#words[PARTNER_WORDS.needed]!;
  }

  /**
   * Makes room for more records, and overwrites what is behind {@link end}. @returns whether the memory
   * has grown.
   */
  grow(records: number, byteLength: number): boolean {
    const needed = this.used + byteLength + KEPT_BYTES * records;
    if (needed <= this.#room) return false;
    this.#room = Math.ceil(1.5 * needed);
    return true;
  }

  /** Moves the held records to another address. */
  moveTo(base: number): void {
    this.#base = base;
  }

  /** Tells `scan.c` where the records lie. */
  place(): void {
    this.#words[PARTNER_WORDS.base] = this.#base;
  }

  get #words(): Uint32Array {
    const { memory, partners } = this.#exports;
    return new Uint32Array(memory.buffer, partners(), PARTNER_WORDS.needed + 1);
  }
}

export interface PartnersExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  partners(): number;
  keepRecords(): void;
  findPartners(firsts: number): void;
  joinLines(kind: number, firsts: number, to: number, end: number): number;
}

/** Words of `struct Partners`. */
const PARTNER_WORDS = { base: 0, used: 1, record: 2, partner: 3, needed: 4 } as const;
/** The offset of the first record: 0 is none. */
const FIRST_RECORD = 8;
/** `struct Kept`, and up to three bytes behind the record. */
const KEPT_BYTES = 12;
