import type { ScanPlan, WasmSyntax } from "./record-matcher.js";
import { WASM } from "./scan-wasm.js";
import {
  type PartnersExports,
  PartnersMemory,
  type TotalsExports,
  TotalsMemory,
} from "./totals-memory.js";

/**
 * The memory of one scanner: an instance of `scan.c`, its fields, and the positions of the current
 * batch's arrays. These are laid out for each batch, by its number of lines.
 */
export class ScanMemory {
  /** Larger batches go to the plain scanner, because this memory never shrinks. */
  static readonly MOST_BYTES: number = 8 << 20;

  readonly exports: ScanExports;
  /** The totals by key. Their table also has the keys of the partners. */
  readonly totals: TotalsMemory | undefined;
  readonly partners: PartnersMemory | undefined;
  /** The state of `scan.c`. */
  #state: Uint32Array<ArrayBuffer>;
  #layout: Layout | undefined;
  #plan: ScanPlan;
  #syntax: WasmSyntax;
  /** The end of the fields' names. */
  #namesEnd: number;
  /** Keys in the totals before records were added last. */
  #keysBefore = 0;

  static create(syntax: WasmSyntax, plan: ScanPlan): ScanMemory | undefined {
    if (plan.keys + plan.values > 32) return undefined;
    for (const fields of [syntax, plan.partners?.syntax]) {
      if (fields?.name === "ndjson" && fields.paths.some(({ length }) => length > 8))
        return undefined;
    }
    const module = compiledModule();
    return module ? new ScanMemory(module, syntax, plan) : undefined;
  }

  private constructor(module: WebAssembly.Module, syntax: WasmSyntax, plan: ScanPlan) {
    this.exports = new WebAssembly.Instance(module).exports as unknown as ScanExports;
    this.#plan = plan;
    this.#syntax = plan.partners?.syntax ?? syntax;
    const end = this.#writeFields();
    this.#syntax = syntax;
    this.#namesEnd = Math.max(end, this.#writeFields());
    this.#state = this.#viewState();
    if ((plan.totals || plan.partners) && plan.keys > 0) {
      this.totals = new TotalsMemory(this.exports, this.#namesEnd, plan.values, (byteLength) => {
        this.#reserve(byteLength);
      });
      if (plan.partners) this.partners = new PartnersMemory(this.exports, this.totals.end);
    }
  }

  /** The positions of the current batch's arrays. */
  get layout(): Layout {
    if (!this.#layout) throw new Error("No batch was loaded.");
    return this.#layout;
  }

  get buffer(): ArrayBuffer {
    return this.exports.memory.buffer;
  }

  /** Number of records kept. */
  get count(): number {
    return this.#state[STATE.count]!;
  }

  /** Bytes of the records kept. */
  get kept(): number {
    return this.#state[STATE.kept]! - this.layout.input;
  }

  /** Bytes of the batch's keys: those of one field lie in the input, unless the plain scanner wrote them. */
  get keyBytesAtMost(): number {
    const { input, arena } = this.layout;
    const written = this.#state[STATE.arena]! - arena;
    return this.#plan.keys > 1 ? written : written + this.#state[STATE.end]! - input;
  }

  /** The offset of the next record in the batch. */
  get at(): number {
    return this.#state[STATE.at]! - this.layout.input;
  }

  set at(offset: number) {
    this.#state[STATE.at] = this.layout.input + offset;
  }

  /**
   * Loads a batch, and makes room for everything that a scan of it can find, and for all its keys and
   * records if they are to be held.
   */
  load(bytes: Uint8Array, isKept: boolean): void {
    const { keys, values } = this.#plan;
    let input = this.#place(bytes);
    let lines = this.exports.survey(input, input + bytes.length);
    // What is held lies below the input, and moves it when it grows.
    if (isKept && this.#growKept(lines + 1, bytes.length)) {
      input = this.#place(bytes);
      lines = this.exports.survey(input, input + bytes.length);
    }
    this.partners?.place();
    const room = lines + 1;
    let at = align(input + bytes.length + SLACK, 64);
    const take = (byteLength: number) => {
      const start = at;
      at = align(at + byteLength, 64);
      return start;
    };
    const hashed = keys > 0 ? 4 * room : 0;
    const layout = {
      input,
      room,
      ends: take(4 * room),
      keyStarts: take(hashed),
      keyEnds: take(hashed),
      hashLow: take(hashed),
      hashHigh: take(hashed),
      isMissing: take(room),
      numbers: take(8 * values * room),
      kinds: take(values * room),
      assignment: take(4 * room),
      partitions: take(4 * (3 * MOST_PARTITIONS + 1)),
      scattered: take(bytes.length),
      arena: at,
      arenaRoom: arenaRoom(this.#syntax, keys, bytes.length, room),
    };
    this.#layout = layout;
    this.#reserve(layout.arena + layout.arenaRoom);
    const state = this.#viewState();
    this.#state = state;
    state[STATE.at] = input;
    state[STATE.end] = input + bytes.length;
    state[STATE.base] = input;
    state[STATE.kept] = input;
    state[STATE.count] = 0;
    state[STATE.arena] = layout.arena;
    state[STATE.keys] = keys;
    state[STATE.fields] = keys + values;
    state[STATE.missing] = this.#namesEnd - 1;
    state[STATE.ends] = layout.ends;
    state[STATE.keyStarts] = layout.keyStarts;
    state[STATE.keyEnds] = layout.keyEnds;
    state[STATE.hashLow] = layout.hashLow;
    state[STATE.hashHigh] = layout.hashHigh;
    state[STATE.isMissing] = layout.isMissing;
    state[STATE.numbers] = layout.numbers;
    state[STATE.kinds] = layout.kinds;
    state[STATE.capacity] = room;
    if (this.#syntax.name === "csv") {
      state[STATE.delimiter] = this.#syntax.delimiter;
      state[STATE.quote] = this.#syntax.quote ? 1 : 0;
      state[STATE.width] = this.#syntax.width;
    }
  }

  #growKept(records: number, byteLength: number): boolean {
    const { totals, partners } = this;
    const isTight = totals !== undefined && !totals.hasRoom(records, 2 * byteLength);
    if (isTight) {
      totals.grow(records, 2 * byteLength, partners?.used ?? 0);
      partners?.moveTo(totals.end);
    }
    return partners?.grow(records, byteLength) || isTight;
  }

  /** Copies a batch to where the input begins. */
  #place(bytes: Uint8Array): number {
    const input = align(this.partners?.end ?? this.totals?.end ?? this.#namesEnd, 64);
    this.#reserve(input + bytes.length + SLACK);
    const memory = new Uint8Array(this.buffer);
    memory.set(bytes, input);
    memory.fill(LF, input + bytes.length, input + bytes.length + SLACK);
    return input;
  }

  /** Adds the batch's records to the totals. @returns false, and adds none, if they do not suit. */
  addToTotals(): boolean {
    this.#keysBefore = this.totals!.count;
    return this.exports.addToTotals(this.layout.assignment) === 1;
  }

  /** The indices of the records with which keys were added last. */
  newKeys(): Uint32Array {
    const numbers = new Uint32Array(this.buffer, this.layout.assignment, this.count);
    const firsts = new Uint32Array(this.totals!.count - this.#keysBefore);
    // Keys are numbered in the order of their first records.
    for (let i = 0, found = 0; found < firsts.length; i++) {
      if (numbers[i] === this.#keysBefore + found) firsts[found++] = i;
    }
    return firsts;
  }

  scan(isCsv: boolean): "done" | "ask" {
    return (isCsv ? this.exports.scanCsv() : this.exports.scanJson()) === 0 ? "done" : "ask";
  }

  /** Adds the key of the record at {@link at}. */
  addKey(key: Uint8Array, isMissing: boolean): void {
    const arena = this.#state[STATE.arena]!;
    // The plain scanner's text may be longer than the record: 1e20 has 21 digits.
    if (this.#reserve(arena + key.length + this.layout.arenaRoom)) this.#state = this.#viewState();
    new Uint8Array(this.buffer, arena, key.length).set(key);
    this.exports.addKey(key.length, isMissing ? 1 : 0);
  }

  /** Lines of the loaded batch's records with their partners, in pieces. */
  *lines(kind: number): Generator<Uint8Array<ArrayBuffer>> {
    const { exports, layout, count } = this;
    const partners = this.partners!;
    exports.findPartners(layout.assignment);
    for (let room = PIECE_BYTES; partners.record < count; ) {
      const start = align(this.#state[STATE.arena]! + SLACK, 64);
      if (this.#reserve(start + room)) this.#state = this.#viewState();
      const end = exports.joinLines(kind, layout.assignment, start, start + room);
      if (end > start) yield new Uint8Array(this.buffer, start, end - start).slice();
      else room = partners.needed;
    }
  }

  setNumber(value: number, kind: number, number: number): void {
    const { numbers, kinds, room } = this.layout;
    const index = value * room + this.count;
    new Float64Array(this.buffer, numbers)[index] = number;
    new Uint8Array(this.buffer, kinds)[index] = kind;
  }

  /** Keeps the record at {@link at}, which is `byteLength` long. */
  keep(byteLength: number): void {
    this.exports.keep(byteLength);
  }

  #viewState(): Uint32Array<ArrayBuffer> {
    return new Uint32Array(this.buffer, this.exports.state(), STATE.width + 1);
  }

  /** Grows the memory to `byteLength`. Returns whether it grew, which detaches all views. */
  #reserve(byteLength: number): boolean {
    const missing = byteLength - this.buffer.byteLength;
    if (missing <= 0) return false;
    this.exports.memory.grow(Math.ceil(missing / 65536));
    return true;
  }

  /** Makes the next scans find the fields of records, or those of their partners. */
  find(syntax: WasmSyntax): void {
    if (this.#syntax === syntax) return;
    this.#syntax = syntax;
    this.#writeFields();
  }

  /** Writes the wanted fields. Returns their end, after a zero byte. */
  #writeFields(): number {
    const { exports } = this;
    let at = exports.heap();
    if (this.#syntax.name === "csv") {
      for (const [field, column] of this.#syntax.columns.entries()) {
        exports.setColumn(field, column);
      }
    } else {
      for (const [field, path] of this.#syntax.paths.entries()) {
        for (const [depth, name] of path.entries()) {
          const bytes = encoder.encode(JSON.stringify(name));
          this.#reserve(at + bytes.length);
          new Uint8Array(this.buffer, at, bytes.length).set(bytes);
          exports.setName(field, depth, at, bytes.length);
          at += bytes.length;
        }
      }
    }
    this.#reserve(at + 1);
    new Uint8Array(this.buffer)[at] = 0;
    return at + 1;
  }
}

/** The functions of `scan.c`. Addresses and lengths are in bytes. */
interface ScanExports extends TotalsExports, PartnersExports {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  state(): number;
  heap(): number;
  setName(field: number, depth: number, name: number, length: number): void;
  setColumn(field: number, column: number): void;
  survey(start: number, end: number): number;
  scanJson(): number;
  scanCsv(): number;
  addKey(length: number, isMissing: number): void;
  keep(length: number): void;
  assign(partitions: number, assignment: number): void;
  scatter(
    partitions: number,
    assignment: number,
    offsets: number,
    counts: number,
    next: number,
    out: number,
  ): void;
  addToTotals(numbers: number): number;
}

/** `null` if this runtime has no WebAssembly, or none with SIMD. */
let compiled: WebAssembly.Module | null | undefined;

function compiledModule(): WebAssembly.Module | null {
  if (compiled === undefined) {
    try {
      // atob() and a copy of its characters took 2 ms.
      compiled = new WebAssembly.Module(Buffer.from(WASM, "base64"));
    } catch {
      compiled = null;
    }
  }
  return compiled;
}

/** The most partitions for which {@link Layout.partitions} has room. */
export const MOST_PARTITIONS = 4096;

interface Layout {
  input: number;
  /** Number of records that there is room for. */
  room: number;
  ends: number;
  keyStarts: number;
  keyEnds: number;
  hashLow: number;
  hashHigh: number;
  isMissing: number;
  numbers: number;
  kinds: number;
  assignment: number;
  /** Offsets, counts and ends of the partitions. */
  partitions: number;
  scattered: number;
  arena: number;
  arenaRoom: number;
}

/** Words of `struct State`. */
const STATE = {
  at: 0,
  end: 1,
  base: 2,
  kept: 3,
  count: 4,
  arena: 5,
  keys: 6,
  fields: 7,
  hasHigh: 8,
  missing: 9,
  ends: 10,
  keyStarts: 11,
  keyEnds: 12,
  hashLow: 13,
  hashHigh: 14,
  isMissing: 15,
  numbers: 16,
  kinds: 17,
  capacity: 18,
  delimiter: 19,
  quote: 20,
  width: 21,
} as const;

/** Bytes of lines that are joined at a time, unless a line is longer. */
const PIECE_BYTES = 1 << 20;

/** Readable bytes behind the input. */
const SLACK = 64;
const LF = 0x0a;

/** The most bytes of keys: each as a text, then all in a list. Untouched pages cost nothing. */
function arenaRoom(syntax: WasmSyntax, keys: number, byteLength: number, records: number): number {
  if (keys === 0 || (keys === 1 && syntax.name === "ndjson")) return 64;
  return 2 * keys * (byteLength + 8 * records) + 64;
}

function align(address: number, to: number): number {
  return Math.ceil(address / to) * to;
}

const encoder = new TextEncoder();
