import { PartdError } from "@partd/core";
import { argumentsOf, findGlobal, Global, Part } from "./globals.js";
import { Op } from "./opcodes.js";
import type { PickleOptions } from "./options.js";
import { PyTuple } from "./python-types.js";
import { replaceAll } from "./replace-all.js";
import { decodeText } from "./text.js";

/**
 * Reads pickles of plain data, protocols 2 to 5. A pickle is a program for a machine with a stack
 * and a memo; this one has no opcode that imports, calls or builds anything but a few values of
 * Python's own (`globals.ts`). No length is believed before the bytes bear it out, and no opcode
 * makes more than the bytes that were spent on it.
 */
export class Unpickler {
  readonly #integers: "auto" | "number" | "bigint";
  readonly #maps: boolean;

  constructor(options: PickleOptions = {}) {
    this.#integers = options.integers ?? "auto";
    this.#maps = options.dicts === "map";
  }

  /** @throws Error for what is no whole pickle, `ERR_PARTD_CODEC` for one of more than plain data. */
  load(bytes: Uint8Array): unknown {
    const machine = new Machine(bytes, this.#integers, this.#maps);
    try {
      return machine.run();
    } catch (cause) {
      if (cause instanceof PartdError) throw cause;
      const message = cause instanceof Error ? cause.message : String(cause);
      throw new PartdError(
        "ERR_PARTD_CORRUPT",
        `not a pickle of plain data: ${message} (Byte ${machine.position} of the frame.)`,
        { cause },
      );
    }
  }
}

class Machine {
  position = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #integers: "auto" | "number" | "bigint";
  readonly #maps: boolean;
  readonly #stack: unknown[] = [];
  /** Heights of the stack at which marks stand. */
  readonly #marks: number[] = [];
  /** Below this the stack belongs to what was marked. */
  #floor = 0;
  readonly #memo: unknown[] = [];
  #memoized = 0;
  /** Objects that became Maps when a key came that is no string. */
  readonly #replaced = new Map<unknown, unknown>();
  /** Whether a value may stand in more places than one. */
  #shared = false;
  /** Whether there is anything that must not be left in the data. */
  #parts = false;
  /** Tuples with such things in them, which calls may take. */
  readonly #argumentTuples = new Set<unknown>();
  /** Bytes that copies may still take. */
  #budget: number;

  constructor(bytes: Uint8Array, integers: "auto" | "number" | "bigint", maps: boolean) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#integers = integers;
    this.#maps = maps;
    this.#budget = bytes.byteLength;
  }

  run(): unknown {
    if (this.#bytes[0] !== Op.PROTO) throw new Error("it does not begin as one.");
    for (;;) {
      const opcode = this.#uint8();
      if (opcode === Op.STOP) break;
      this.#step(opcode);
    }
    if (this.position < this.#bytes.byteLength) throw new Error("bytes follow its end.");
    const result = this.#value(this.#pop());
    if (this.#stack.length > 0) throw new Error("it ends with values left over.");
    if (this.#replaced.size > 0 && this.#shared) return replaceAll(result, this.#replaced);
    return result;
  }

  #step(opcode: number): void {
    switch (opcode) {
      case Op.PROTO:
        if (this.#uint8() > 5) throw this.#refuse("its protocol is newer than 5");
        return;
      case Op.FRAME:
        this.#length64(); // Frames are for reading from files.
        return;
      case Op.MARK:
        this.#marks.push(this.#stack.length);
        this.#floor = this.#stack.length;
        return;
      case Op.POP:
        if (this.#stack.length > this.#floor) this.#pop();
        else this.#popMark();
        return;
      case Op.POP_MARK:
        this.#popMark();
        return;
      case Op.DUP:
        this.#shared = true;
        this.#push(this.#top());
        return;
      case Op.NONE:
        this.#push(null);
        return;
      case Op.NEWTRUE:
        this.#push(true);
        return;
      case Op.NEWFALSE:
        this.#push(false);
        return;
      case Op.BININT:
        this.#integer(this.#view.getInt32(this.#take(4), true));
        return;
      case Op.BININT1:
        this.#integer(this.#uint8());
        return;
      case Op.BININT2:
        this.#integer(this.#view.getUint16(this.#take(2), true));
        return;
      case Op.LONG1:
        this.#long(this.#uint8());
        return;
      case Op.LONG4:
        this.#long(this.#length32());
        return;
      case Op.BINFLOAT:
        this.#push(this.#view.getFloat64(this.#take(8)));
        return;
      case Op.SHORT_BINUNICODE:
      case Op.SHORT_BINSTRING:
        this.#text(this.#uint8());
        return;
      case Op.BINUNICODE:
      case Op.BINSTRING:
        this.#text(this.#length32());
        return;
      case Op.BINUNICODE8:
        this.#text(this.#length64());
        return;
      case Op.SHORT_BINBYTES:
        this.#binary(this.#uint8());
        return;
      case Op.BINBYTES:
        this.#binary(this.#length32());
        return;
      case Op.BINBYTES8:
      case Op.BYTEARRAY8:
        this.#binary(this.#length64());
        return;
      case Op.EMPTY_LIST:
        this.#push([]);
        return;
      case Op.APPEND:
        this.#append([this.#pop()]);
        return;
      case Op.APPENDS:
        this.#append(this.#popMark());
        return;
      case Op.EMPTY_TUPLE:
        this.#push(new PyTuple());
        return;
      case Op.TUPLE:
        this.#tuple(this.#popMark());
        return;
      case Op.TUPLE1:
      case Op.TUPLE2:
      case Op.TUPLE3:
        this.#tuple(this.#popMany(opcode - Op.TUPLE1 + 1));
        return;
      case Op.EMPTY_DICT:
        this.#push(this.#maps ? new Map() : {});
        return;
      case Op.SETITEM:
        this.#setItems(this.#popMany(2));
        return;
      case Op.SETITEMS:
        this.#setItems(this.#popMark());
        return;
      case Op.EMPTY_SET:
        this.#push(new Set());
        return;
      case Op.ADDITEMS:
        this.#add(this.#popMark());
        return;
      case Op.FROZENSET:
        this.#push(new Set());
        this.#add(this.#popMark(1));
        return;
      case Op.BINPUT:
        this.#put(this.#uint8());
        return;
      case Op.LONG_BINPUT:
        this.#put(this.#length32());
        return;
      case Op.MEMOIZE:
        this.#put(this.#memoized);
        return;
      case Op.BINGET:
        this.#get(this.#uint8());
        return;
      case Op.LONG_BINGET:
        this.#get(this.#length32());
        return;
      case Op.GLOBAL:
        this.#global(this.#line(), this.#line());
        return;
      case Op.STACK_GLOBAL: {
        const [module, name] = this.#popMany(2);
        if (typeof module !== "string" || typeof name !== "string") throw underflow();
        this.#global(module, name);
        return;
      }
      case Op.REDUCE:
        this.#reduce();
        return;
      default:
        throw this.#unknown(opcode);
    }
  }

  // ---- The stack -------------------------------------------------------------------------------

  #push(value: unknown): void {
    this.#stack.push(value);
  }

  #pop(): unknown {
    if (this.#stack.length <= this.#floor) throw underflow();
    return this.#stack.pop();
  }

  #top(): unknown {
    if (this.#stack.length <= this.#floor) throw underflow();
    return this.#stack[this.#stack.length - 1];
  }

  #popMany(count: number): unknown[] {
    if (this.#stack.length - count < this.#floor) throw underflow();
    return this.#stack.splice(this.#stack.length - count, count);
  }

  /** What stands above the last mark, but for `kept` values on top that stay. */
  #popMark(kept = 0): unknown[] {
    const mark = this.#marks.pop();
    if (mark === undefined) throw underflow();
    const top = kept > 0 ? this.#stack.splice(this.#stack.length - kept, kept) : [];
    const items = this.#stack.splice(mark);
    this.#floor = this.#marks[this.#marks.length - 1] ?? 0;
    for (const value of top) this.#stack.push(value);
    return items;
  }

  /** A value for the data, which a function or a time zone is not. */
  #value(value: unknown): unknown {
    if (!this.#parts || !this.#isPart(value)) return value;
    const name = value instanceof Part ? value.name : "tuple of arguments";
    throw this.#refuse(`a ${name} is no plain data`);
  }

  #isPart(value: unknown): boolean {
    return value instanceof Part || this.#argumentTuples.has(value);
  }

  // ---- Numbers, texts, bytes -------------------------------------------------------------------

  #integer(value: number): void {
    this.#push(this.#integers === "bigint" ? BigInt(value) : value);
  }

  /** Two's complement of `length` bytes, the lowest first. */
  #long(length: number): void {
    const start = this.#take(length);
    let hex = "";
    for (let i = start + length - 1; i >= start; i--) {
      hex += (this.#bytes[i] as number).toString(16).padStart(2, "0");
    }
    const unsigned = length === 0 ? 0n : BigInt(`0x${hex}`);
    const negative = length > 0 && (this.#bytes[start + length - 1] as number) >= 0x80;
    const value = negative ? unsigned - (1n << BigInt(length * 8)) : unsigned;
    const safe = value >= -MAX_SAFE && value <= MAX_SAFE;
    if (this.#integers === "bigint" || (!safe && this.#integers === "auto")) this.#push(value);
    else if (safe) this.#push(Number(value));
    else {
      throw this.#refuse(
        'an int would be rounded; read with { integers: "auto" } to have it as a BigInt',
      );
    }
  }

  #text(length: number): void {
    const start = this.#take(length);
    this.#push(decodeText(this.#bytes, start, length));
  }

  #binary(length: number): void {
    const start = this.#take(length);
    this.#push(new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + start, length));
  }

  // ---- Containers ------------------------------------------------------------------------------

  #append(items: readonly unknown[]): void {
    const list = this.#top();
    if (!Array.isArray(list) || list instanceof PyTuple) throw new Error("it appends to no list.");
    for (const item of items) list.push(this.#value(item));
  }

  #tuple(items: readonly unknown[]): void {
    const tuple = new PyTuple();
    for (const item of items) {
      tuple.push(item);
      if (this.#parts && this.#isPart(item)) this.#argumentTuples.add(tuple);
    }
    this.#push(tuple);
  }

  #setItems(items: readonly unknown[]): void {
    let dict = this.#top();
    if (items.length % 2 !== 0) throw underflow();
    for (let i = 0; i < items.length; i += 2) {
      const key = this.#value(items[i]);
      const value = this.#value(items[i + 1]);
      if (dict instanceof Map) dict.set(key, value);
      else if (!isRecord(dict)) throw new Error("it sets items of no dict.");
      else if (typeof key === "string") define(dict, key, value);
      else {
        const map = new Map<unknown, unknown>(Object.entries(dict)).set(key, value);
        this.#replaced.set(dict, map);
        this.#stack[this.#stack.length - 1] = map;
        dict = map;
      }
    }
  }

  #add(items: readonly unknown[]): void {
    const set = this.#top();
    if (!(set instanceof Set)) throw new Error("it adds to no set.");
    for (const item of items) set.add(this.#value(item));
  }

  // ---- The memo --------------------------------------------------------------------------------

  #put(index: number): void {
    // Each takes two bytes; a place beyond that would only take memory.
    if (index > this.#bytes.byteLength) throw new Error("it memoizes out of order.");
    if (this.#memo[index] === undefined) this.#memoized++;
    this.#memo[index] = this.#top();
  }

  #get(index: number): void {
    const value = this.#memo[index];
    if (value === undefined) throw new Error("it refers to what is not there.");
    if (typeof value === "object" && value !== null) this.#shared = true;
    this.#push(this.#replaced.size > 0 ? (this.#replaced.get(value) ?? value) : value);
  }

  // ---- What is called --------------------------------------------------------------------------

  #global(module: string, name: string): void {
    this.#parts = true;
    this.#push(findGlobal(module, name));
  }

  #reduce(): void {
    const [called, args] = this.#popMany(2);
    if (!(called instanceof Global)) throw new Error("it calls what is no function.");
    this.#push(called.call(argumentsOf(args), (bytes) => this.#spend(bytes)));
  }

  /** Copies made by calls: together no larger than the pickle, which has to say it all once. */
  #spend(bytes: number): void {
    this.#budget -= bytes;
    if (this.#budget < 0) throw this.#refuse("it makes more copies than it is long");
  }

  // ---- Bytes -----------------------------------------------------------------------------------

  #take(length: number): number {
    const start = this.position;
    if (length < 0 || length > this.#bytes.byteLength - start) throw new Error("it is cut short.");
    this.position = start + length;
    return start;
  }

  #uint8(): number {
    return this.#bytes[this.#take(1)] as number;
  }

  #length32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  #length64(): number {
    const at = this.#take(8);
    return this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * 2 ** 32;
  }

  #line(): string {
    const end = this.#bytes.subarray(this.position, this.position + MAX_NAME).indexOf(0x0a);
    if (end < 0) throw new Error("it asks for something without a name.");
    const start = this.#take(end + 1);
    return decodeText(this.#bytes, start, end);
  }

  #unknown(opcode: number): Error {
    const character = String.fromCharCode(opcode);
    if (OTHER_OPCODES.includes(character) || OTHER_BINARY.has(opcode)) {
      return this.#refuse(
        `it builds objects, or is of protocol 0 or 1 (opcode 0x${opcode.toString(16)})`,
      );
    }
    return new Error(`0x${opcode.toString(16)} is no opcode.`);
  }

  #refuse(reason: string): PartdError {
    return new PartdError(
      "ERR_PARTD_CODEC",
      `the pickle holds more than plain data: ${reason}. (Byte ${this.position} of the frame.)`,
    );
  }
}

const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER);
/** Bytes of a module's or a function's name. */
const MAX_NAME = 256;
/** Opcodes that Python knows and plain data of protocols 2 to 5 do not need. */
const OTHER_OPCODES = "IFLSVdlobiPQpg";
/** NEWOBJ, EXT1 to EXT4, NEWOBJ_EX, NEXT_BUFFER, READONLY_BUFFER. */
const OTHER_BINARY: ReadonlySet<number> = new Set([0x81, 0x82, 0x83, 0x84, 0x92, 0x97, 0x98]);

function underflow(): Error {
  return new Error("it takes more from its stack than there is.");
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype
  );
}

/** `__proto__` by assignment would be the object's prototype instead. */
function define(record: Record<string, unknown>, key: string, value: unknown): void {
  if (key !== "__proto__") record[key] = value;
  else {
    Object.defineProperty(record, key, {
      value,
      configurable: true,
      enumerable: true,
      writable: true,
    });
  }
}
