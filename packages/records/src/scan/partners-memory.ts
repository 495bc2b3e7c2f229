/** The held records of `scan.c`, in the memory behind the totals, whose table has their keys. */
export class PartnersMemory {
  readonly #exports: PartnersExports;
  #base: number;
  #room = FIRST;

  constructor(exports: PartnersExports, base: number) {
    this.#exports = exports;
    this.#base = base;
    this.#words[WORDS.used] = FIRST;
  }

  /** Where the following memory begins. */
  get end(): number {
    return this.#base + this.#room;
  }

  /** Bytes of the held records. */
  get used(): number {
    return this.#words[WORDS.used]!;
  }

  /** The index of the record that is being joined. */
  get record(): number {
    return this.#words[WORDS.record]!;
  }

  /** Bytes of the line that did not fit into the output. */
  get needed(): number {
    return this.#words[WORDS.needed]!;
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
    this.#words[WORDS.base] = this.#base;
  }

  get #words(): Uint32Array {
    const { memory, partners } = this.#exports;
    return new Uint32Array(memory.buffer, partners(), WORDS.needed + 1);
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
const WORDS = { base: 0, used: 1, record: 2, partner: 3, needed: 4 } as const;
/** The offset of the first record: 0 is none. */
const FIRST = 8;
/** `struct Kept`, and up to three bytes behind the record. */
const KEPT_BYTES = 12;
