import { PartdError } from "@partd/core";
import { ByteReader } from "./byte-reader.js";
import { argumentsOf, findGlobal, Global, Part } from "./globals.js";
import { MarkedStack } from "./marked-stack.js";
import { Op } from "./opcodes.js";
import type { PickleOptions } from "./options.js";
import { PyTuple } from "./python-types.js";
import { defineProperty, isRecord } from "./record.js";
import { replaceAll } from "./replace-all.js";

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
    const input = new ByteReader(bytes);
    try {
      return new Machine(input, this.#integers, this.#maps).run();
    } catch (cause) {
      if (cause instanceof PartdError) throw cause;
      const message = cause instanceof Error ? cause.message : String(cause);
      throw new PartdError(
        "ERR_PARTD_CORRUPT",
        `not a pickle of plain data: ${message} (Byte ${input.position} of the frame.)`,
        { cause },
      );
    }
  }
}

class Machine {
  readonly #input: ByteReader;
  readonly #integers: "auto" | "number" | "bigint";
  readonly #maps: boolean;
  readonly #stack = new MarkedStack();
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

  constructor(input: ByteReader, integers: "auto" | "number" | "bigint", maps: boolean) {
    this.#input = input;
    this.#integers = integers;
    this.#maps = maps;
    this.#budget = input.byteLength;
  }

  run(): unknown {
    const input = this.#input;
    let opcode = input.uint8();
    if (opcode !== Op.PROTO) throw new Error("it does not begin as one.");
    for (; opcode !== Op.STOP; opcode = input.uint8()) this.#step(opcode);
    if (input.position < input.byteLength) throw new Error("bytes follow its end.");
    const result = this.#value(this.#stack.pop());
    if (!this.#stack.empty) throw new Error("it ends with values left over.");
    if (this.#replaced.size > 0 && this.#shared) return replaceAll(result, this.#replaced);
    return result;
  }

  #step(opcode: number): void {
    const input = this.#input;
    const stack = this.#stack;
    switch (opcode) {
      case Op.PROTO:
        if (input.uint8() > 5) throw this.#refuse("its protocol is newer than 5");
        return;
      case Op.FRAME:
        input.uint64(); // Frames are for reading from files.
        return;
      case Op.MARK:
        stack.mark();
        return;
      case Op.POP:
        if (stack.length > 0) stack.pop();
        else stack.popMark();
        return;
      case Op.POP_MARK:
        stack.popMark();
        return;
      case Op.DUP:
        this.#shared = true;
        stack.push(stack.top());
        return;
      case Op.NONE:
        stack.push(null);
        return;
      case Op.NEWTRUE:
        stack.push(true);
        return;
      case Op.NEWFALSE:
        stack.push(false);
        return;
      case Op.BININT:
        this.#integer(input.int32());
        return;
      case Op.BININT1:
        this.#integer(input.uint8());
        return;
      case Op.BININT2:
        this.#integer(input.uint16());
        return;
      case Op.LONG1:
        this.#integer(input.integer(input.uint8()));
        return;
      case Op.LONG4:
        this.#integer(input.integer(input.uint32()));
        return;
      case Op.BINFLOAT:
        stack.push(input.float64());
        return;
      case Op.SHORT_BINUNICODE:
      case Op.SHORT_BINSTRING:
        stack.push(input.text(input.uint8()));
        return;
      case Op.BINUNICODE:
      case Op.BINSTRING:
        stack.push(input.text(input.uint32()));
        return;
      case Op.BINUNICODE8:
        stack.push(input.text(input.uint64()));
        return;
      case Op.SHORT_BINBYTES:
        stack.push(input.bytes(input.uint8()));
        return;
      case Op.BINBYTES:
        stack.push(input.bytes(input.uint32()));
        return;
      case Op.BINBYTES8:
      case Op.BYTEARRAY8:
        stack.push(input.bytes(input.uint64()));
        return;
      case Op.EMPTY_LIST:
        stack.push([]);
        return;
      case Op.APPEND:
        this.#append([stack.pop()]);
        return;
      case Op.APPENDS:
        this.#append(stack.popMark());
        return;
      case Op.EMPTY_TUPLE:
        stack.push(new PyTuple());
        return;
      case Op.TUPLE:
        this.#tuple(stack.popMark());
        return;
      case Op.TUPLE1:
      case Op.TUPLE2:
      case Op.TUPLE3:
        this.#tuple(stack.popMany(opcode - Op.TUPLE1 + 1));
        return;
      case Op.EMPTY_DICT:
        stack.push(this.#maps ? new Map() : {});
        return;
      case Op.SETITEM:
        this.#setItems(stack.popMany(2));
        return;
      case Op.SETITEMS:
        this.#setItems(stack.popMark());
        return;
      case Op.EMPTY_SET:
        stack.push(new Set());
        return;
      case Op.ADDITEMS: {
        const items = stack.popMark();
        this.#add(stack.top(), items);
        return;
      }
      case Op.FROZENSET:
        stack.push(this.#add(new Set(), stack.popMark()));
        return;
      case Op.BINPUT:
        this.#put(input.uint8());
        return;
      case Op.LONG_BINPUT:
        this.#put(input.uint32());
        return;
      case Op.MEMOIZE:
        this.#put(this.#memoized);
        return;
      case Op.BINGET:
        this.#get(input.uint8());
        return;
      case Op.LONG_BINGET:
        this.#get(input.uint32());
        return;
      case Op.GLOBAL:
        this.#global(input.line(), input.line());
        return;
      case Op.STACK_GLOBAL: {
        const [module, name] = stack.popMany(2);
        if (typeof module !== "string" || typeof name !== "string") {
          throw new Error("it asks for something whose name is no str.");
        }
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

  /** A value for the data, which a function or a time zone is not. */
  #value(value: unknown): unknown {
    if (!this.#parts || !this.#isPart(value)) return value;
    const name = value instanceof Part ? value.name : "tuple of arguments";
    throw this.#refuse(`a ${name} is no plain data`);
  }

  #isPart(value: unknown): boolean {
    return value instanceof Part || this.#argumentTuples.has(value);
  }

  #integer(value: number | bigint): void {
    this.#stack.push(this.#converted(value));
  }

  #converted(value: number | bigint): number | bigint {
    if (this.#integers === "bigint") return BigInt(value);
    if (typeof value === "number") return value;
    if (value >= -MAX_SAFE && value <= MAX_SAFE) return Number(value);
    if (this.#integers === "auto") return value;
    throw this.#refuse(
      'an int would be rounded; read with { integers: "auto" } to have it as a BigInt',
    );
  }

  // ---- Containers ------------------------------------------------------------------------------

  #append(items: readonly unknown[]): void {
    const list = this.#stack.top();
    if (!Array.isArray(list) || list instanceof PyTuple) throw new Error("it appends to no list.");
    for (const item of items) list.push(this.#value(item));
  }

  #tuple(items: readonly unknown[]): void {
    const tuple = new PyTuple();
    for (const item of items) {
      tuple.push(item);
      if (this.#parts && this.#isPart(item)) this.#argumentTuples.add(tuple);
    }
    this.#stack.push(tuple);
  }

  #setItems(items: readonly unknown[]): void {
    let dict = this.#stack.top();
    if (items.length % 2 !== 0) throw new Error("a key has no value.");
    for (let i = 0; i < items.length; i += 2) {
      const key = this.#value(items[i]);
      const value = this.#value(items[i + 1]);
      if (dict instanceof Map) dict.set(key, value);
      else if (!isRecord(dict)) throw new Error("it sets items of no dict.");
      else if (typeof key === "string") defineProperty(dict, key, value);
      else {
        const map = new Map<unknown, unknown>(Object.entries(dict)).set(key, value);
        this.#replaced.set(dict, map);
        this.#stack.replaceTop(map);
        dict = map;
      }
    }
  }

  #add(set: unknown, items: readonly unknown[]): Set<unknown> {
    if (!(set instanceof Set)) throw new Error("it adds to no set.");
    for (const item of items) set.add(this.#value(item));
    return set;
  }

  // ---- The memo --------------------------------------------------------------------------------

  #put(index: number): void {
    // Each takes two bytes; a place beyond that would only take memory.
    if (index > this.#input.byteLength) throw new Error("it memoizes out of order.");
    if (this.#memo[index] === undefined) this.#memoized++;
    this.#memo[index] = this.#stack.top();
  }

  #get(index: number): void {
    const value = this.#memo[index];
    if (value === undefined) throw new Error("it refers to what is not there.");
    if (typeof value === "object" && value !== null) this.#shared = true;
    this.#stack.push(this.#replaced.size > 0 ? (this.#replaced.get(value) ?? value) : value);
  }

  // ---- What is called --------------------------------------------------------------------------

  #global(module: string, name: string): void {
    this.#parts = true;
    this.#stack.push(findGlobal(module, name));
  }

  #reduce(): void {
    const [called, args] = this.#stack.popMany(2);
    if (!(called instanceof Global)) throw new Error("it calls what is no function.");
    this.#stack.push(called.call(argumentsOf(args), (bytes) => this.#spend(bytes)));
  }

  /** Copies made by calls: together no larger than the pickle, which has to say it all once. */
  #spend(bytes: number): void {
    this.#budget -= bytes;
    if (this.#budget < 0) throw this.#refuse("it makes more copies than it is long");
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
      `the pickle holds more than plain data: ${reason}. (Byte ${this.#input.position} of the frame.)`,
    );
  }
}

const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER);
/** Opcodes that Python knows and plain data of protocols 2 to 5 do not need. */
const OTHER_OPCODES = "IFLSVdlobiPQpg";
/** NEWOBJ, EXT1 to EXT4, NEWOBJ_EX, NEXT_BUFFER, READONLY_BUFFER. */
const OTHER_BINARY: ReadonlySet<number> = new Set([0x81, 0x82, 0x83, 0x84, 0x92, 0x97, 0x98]);
