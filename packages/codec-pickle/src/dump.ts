import { PartdError } from "@partd/core";
import { ByteWriter } from "./byte-writer.js";
import { Op } from "./opcodes.js";
import { MAX_DEPTH } from "./options.js";
import { PyDateTime, PyTuple } from "./python-types.js";
import { twosComplement } from "./twos-complement.js";

/** One pickle in the making. */
export class Dump {
  readonly #out = new ByteWriter();
  readonly #protocol: number;
  /** Where each object, and each text that is a key, stands in the reader's memo. */
  readonly #memo = new Map<unknown, number>();
  #memoized = 0;

  constructor(protocol: number) {
    this.#protocol = protocol;
  }

  run(value: unknown): Uint8Array {
    this.#out.byte(Op.PROTO);
    this.#out.byte(this.#protocol);
    this.#write(value, 0);
    this.#out.byte(Op.STOP);
    return this.#out.finish();
  }

  #write(value: unknown, depth: number): void {
    switch (typeof value) {
      case "number":
        this.#number(value);
        break;
      case "string":
        this.#text(value);
        break;
      case "boolean":
        this.#out.byte(value ? Op.NEWTRUE : Op.NEWFALSE);
        break;
      case "bigint":
        this.#long(value);
        break;
      case "object":
        if (value === null) this.#out.byte(Op.NONE);
        else if (depth === MAX_DEPTH) {
          throw refuse(`what is nested more than ${MAX_DEPTH} deep`);
        } else this.#object(value, depth + 1);
        break;
      default:
        throw refuse(value === undefined ? "undefined; use null" : `a ${typeof value}`);
    }
  }

  #object(value: object, depth: number): void {
    const place = this.#memo.get(value);
    if (place !== undefined) {
      this.#get(place);
      return;
    }
    if (Array.isArray(value)) {
      if (value instanceof PyTuple) this.#tuple(value, depth);
      else this.#list(value, depth);
      return;
    }
    const prototype: unknown = Object.getPrototypeOf(value);
    const plain = prototype === Object.prototype || prototype === null;
    switch (plain ? "[object Object]" : Object.prototype.toString.call(value)) {
      case "[object Object]":
        this.#dict(value, Object.entries(value), depth);
        break;
      case "[object Map]":
        this.#dict(value, [...(value as Map<unknown, unknown>)], depth);
        break;
      case "[object Set]":
        this.#set(value as Set<unknown>, depth);
        break;
      case "[object Uint8Array]":
        this.#binary(value as Uint8Array);
        this.#memoize(value);
        break;
      case "[object Date]":
        this.#datetime(value as Date);
        this.#memoize(value);
        break;
      default:
        throw refuse(`a ${value.constructor?.name ?? "value of this type"}`);
    }
  }

  // ---- Numbers, texts, bytes -------------------------------------------------------------------

  #number(value: number): void {
    const out = this.#out;
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) {
      out.byte(Op.BINFLOAT);
      out.float64(value);
    } else if (value >= 0 && value < 0x100) {
      out.byte(Op.BININT1);
      out.byte(value);
    } else if (value >= 0 && value < 0x10000) {
      out.byte(Op.BININT2);
      out.uint16(value);
    } else if (value === (value | 0)) {
      out.byte(Op.BININT);
      out.uint32(value);
    } else {
      this.#safeInteger(value);
    }
  }

  #long(value: bigint): void {
    if (value >= -0x8000_0000n && value < 0x8000_0000n) this.#number(Number(value));
    else this.#twosComplement(value);
  }

  /** As few bytes as hold the sign, too. */
  #twosComplement(value: bigint): void {
    const digits = twosComplement(value);
    const count = digits.length / 2;
    this.#out.byte(count < 0x100 ? Op.LONG1 : Op.LONG4);
    if (count < 0x100) this.#out.byte(count);
    else this.#out.uint32(count);
    for (let i = digits.length - 2; i >= 0; i -= 2) {
      this.#out.byte(Number.parseInt(digits.slice(i, i + 2), 16));
    }
  }

  /** The same for what a BigInt is not needed for: at most 53 bits. */
  #safeInteger(value: number): void {
    const magnitude = value < 0 ? -value - 1 : value;
    let count = 5;
    while (magnitude >= 2 ** (count * 8 - 1)) count++;
    this.#out.byte(Op.LONG1);
    this.#out.byte(count);
    for (let i = 0, rest = value; i < count; i++, rest = Math.floor(rest / 0x100)) {
      this.#out.byte(rest - Math.floor(rest / 0x100) * 0x100);
    }
  }

  #text(value: string): void {
    if (!value.isWellFormed()) {
      throw refuse("a string with half a surrogate pair, which has no UTF-8 form");
    }
    this.#out.text(value, this.#protocol >= 4 ? Op.SHORT_BINUNICODE : undefined, Op.BINUNICODE);
  }

  /** Names of properties come again and again: from the second time on they are a reference. */
  #key(value: unknown, depth: number): void {
    const place = typeof value === "string" ? this.#memo.get(value) : undefined;
    if (place !== undefined) this.#get(place);
    else {
      this.#write(value, depth);
      if (typeof value === "string") this.#memoize(value);
    }
  }

  #binary(value: Uint8Array): void {
    if (this.#protocol >= 3) {
      const short = value.byteLength < 0x100;
      this.#out.byte(short ? Op.SHORT_BINBYTES : Op.BINBYTES);
      if (short) this.#out.byte(value.byteLength);
      else this.#out.uint32(checkedLength(value.byteLength));
      this.#out.bytes(value);
      return;
    }
    // Protocol 2 knows text alone: bytes are text that is to be encoded.
    if (value.byteLength === 0) {
      this.#global("__builtin__", "bytes");
      this.#out.byte(Op.EMPTY_TUPLE);
    } else {
      this.#global("_codecs", "encode");
      let text = "";
      for (const byte of value) text += String.fromCharCode(byte);
      this.#text(text);
      this.#text("latin1");
      this.#out.byte(Op.TUPLE2);
    }
    this.#out.byte(Op.REDUCE);
  }

  // ---- Containers ------------------------------------------------------------------------------

  #list(value: readonly unknown[], depth: number): void {
    this.#out.byte(Op.EMPTY_LIST);
    this.#memoize(value);
    if (value.length === 0) return;
    this.#out.byte(Op.MARK);
    for (let i = 0; i < value.length; i++) this.#write(value[i], depth);
    this.#out.byte(Op.APPENDS);
  }

  #tuple(value: PyTuple, depth: number): void {
    const { length } = value;
    if (length > 3) this.#out.byte(Op.MARK);
    for (let i = 0; i < length; i++) this.#write(value[i], depth);
    const place = this.#memo.get(value);
    if (place !== undefined) {
      // It holds itself, by way of a list or dict that was first to finish it.
      if (length > 3) this.#out.byte(Op.POP_MARK);
      else for (let i = 0; i < length; i++) this.#out.byte(Op.POP);
      this.#get(place);
      return;
    }
    this.#out.byte(length > 3 ? Op.TUPLE : length === 0 ? Op.EMPTY_TUPLE : Op.TUPLE1 + length - 1);
    this.#memoize(value);
  }

  #dict(value: object, entries: readonly (readonly [unknown, unknown])[], depth: number): void {
    this.#out.byte(Op.EMPTY_DICT);
    this.#memoize(value);
    if (entries.length === 0) return;
    this.#out.byte(Op.MARK);
    for (const [key, item] of entries) {
      this.#key(key, depth);
      this.#write(item, depth);
    }
    this.#out.byte(Op.SETITEMS);
  }

  #set(value: ReadonlySet<unknown>, depth: number): void {
    if (this.#protocol >= 4) {
      this.#out.byte(Op.EMPTY_SET);
      this.#memoize(value);
      if (value.size === 0) return;
      this.#out.byte(Op.MARK);
      for (const item of value) this.#write(item, depth);
      this.#out.byte(Op.ADDITEMS);
      return;
    }
    this.#global(this.#protocol === 2 ? "__builtin__" : "builtins", "set");
    this.#list([...value], depth);
    this.#out.byte(Op.TUPLE1);
    this.#out.byte(Op.REDUCE);
    if (this.#memo.has(value)) throw refuse("a Set that holds itself, below protocol 4");
    this.#memoize(value);
  }

  // ---- Dates -----------------------------------------------------------------------------------

  #datetime(value: Date): void {
    const python = value instanceof PyDateTime ? value : undefined;
    const offset = python ? python.utcOffset : 0;
    const wall = new Date(value.getTime() + (offset ?? 0) * 1000);
    const year = wall.getUTCFullYear();
    if (!(year >= 1 && year <= 9999)) {
      throw refuse("a Date that is invalid, or not of the years 1 to 9999");
    }
    const microsecond = python?.microsecond ?? 0;
    if (!Number.isInteger(microsecond) || microsecond < 0 || microsecond > 999) {
      throw refuse("a PyDateTime whose microsecond is not an integer from 0 to 999");
    }
    const micros = wall.getUTCMilliseconds() * 1000 + microsecond;
    const month = wall.getUTCMonth() + 1;
    const packed = Uint8Array.of(
      year >> 8,
      year,
      python?.fold ? month | 0x80 : month,
      wall.getUTCDate(),
      wall.getUTCHours(),
      wall.getUTCMinutes(),
      wall.getUTCSeconds(),
      micros >> 16,
      micros >> 8,
      micros,
    );
    this.#global("datetime", "datetime");
    this.#binary(packed);
    if (offset === undefined) this.#out.byte(Op.TUPLE1);
    else {
      this.#timezone(offset, python?.zone);
      this.#out.byte(Op.TUPLE2);
    }
    this.#out.byte(Op.REDUCE);
  }

  #timezone(offset: number, zone: string | undefined): void {
    if (!Number.isInteger(offset) || Math.abs(offset) >= 86_400) {
      throw refuse("a PyDateTime whose utcOffset is not in whole seconds, or a day or more");
    }
    this.#global("datetime", "timezone");
    this.#global("datetime", "timedelta");
    const days = Math.floor(offset / 86_400);
    for (const part of [days, offset - days * 86_400, 0]) this.#number(part);
    this.#out.byte(Op.TUPLE3);
    this.#out.byte(Op.REDUCE);
    if (zone !== undefined) this.#text(zone);
    this.#out.byte(zone === undefined ? Op.TUPLE1 : Op.TUPLE2);
    this.#out.byte(Op.REDUCE);
  }

  #global(module: string, name: string): void {
    const key = `\ud800${module}.${name}`; // No text of the data: those are well-formed.
    const place = this.#memo.get(key);
    if (place !== undefined) {
      this.#get(place);
      return;
    }
    if (this.#protocol >= 4) {
      this.#text(module);
      this.#text(name);
      this.#out.byte(Op.STACK_GLOBAL);
    } else {
      this.#out.byte(Op.GLOBAL);
      this.#out.ascii(`${module}\n${name}\n`);
    }
    this.#memoize(key);
  }

  // ---- The memo --------------------------------------------------------------------------------

  #memoize(value: unknown): void {
    const place = this.#memoized++;
    this.#memo.set(value, place);
    if (this.#protocol >= 4) this.#out.byte(Op.MEMOIZE);
    else this.#place(place, Op.BINPUT, Op.LONG_BINPUT);
  }

  #get(place: number): void {
    this.#place(place, Op.BINGET, Op.LONG_BINGET);
  }

  #place(place: number, short: number, long: number): void {
    if (place < 0x100) {
      this.#out.byte(short);
      this.#out.byte(place);
    } else {
      this.#out.byte(long);
      this.#out.uint32(place);
    }
  }
}

function checkedLength(byteLength: number): number {
  if (byteLength < 2 ** 32) return byteLength;
  throw refuse("4 GiB or more in one item");
}

function refuse(what: string): PartdError {
  return new PartdError("ERR_PARTD_CODEC", `a pickle of plain data cannot carry ${what}.`);
}
