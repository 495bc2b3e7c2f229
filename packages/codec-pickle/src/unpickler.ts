import { PartdError } from "@partd/core";
import { ByteReader } from "./byte-reader.js";
import { MarkedStack } from "./marked-stack.js";
import { Op } from "./opcodes.js";
import type { PickleCodecOptions } from "./pickle.js";
import { PyByteArray, PyFrozenSet, PyTuple } from "./python/builtins.js";
import { build, callOf, isKnownName, modernGlobal, newObject } from "./python/known.js";
import { latin1Bytes, PyGlobal, PyObject } from "./python/object.js";
import { findGlobal, replaceAll } from "./walk.js";

/**
 * Reads pickles of all protocols. A pickle is a program for a machine with a stack and a memo; this
 * one imports and calls nothing: what a pickle would call makes a value of Python's data that is
 * known here, or a {@link PyObject} that says what would be called. No length is believed before the
 * bytes bear it out, and no opcode makes more than the bytes that were spent on it.
 */
export class Unpickler {
  readonly #integers: "auto" | "number" | "bigint";
  readonly #maps: boolean;
  readonly #keep: boolean;

  constructor(options: PickleCodecOptions = {}) {
    this.#integers = options.integers ?? "auto";
    this.#maps = options.dicts === "map";
    this.#keep = options.objects === "keep";
  }

  /** @throws Error for what is no whole pickle, `ERR_PARTD_CODEC` for one of more than plain data. */
  load(bytes: Uint8Array): unknown {
    const input = new ByteReader(bytes);
    try {
      return new Machine(input, this.#integers, this.#maps, this.#keep).run();
    } catch (cause) {
      if (cause instanceof PartdError) throw cause;
      const message = cause instanceof Error ? cause.message : String(cause);
      throw new PartdError(
        "ERR_PARTD_CORRUPT",
        `not a pickle that can be read: ${message} (Byte ${input.position} of the frame.)`,
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
  /** Whether there is a class or function, which may be an argument and no value. */
  #globals = false;
  /** Whether objects of unknown types are kept. */
  readonly #keep: boolean;
  /** Bytes that copies may still take. */
  #budget: number;

  constructor(
    input: ByteReader,
    integers: "auto" | "number" | "bigint",
    maps: boolean,
    keep: boolean,
  ) {
    this.#input = input;
    this.#integers = integers;
    this.#maps = maps;
    this.#keep = keep;
    this.#budget = input.byteLength * 4;
  }

  run(): unknown {
    const input = this.#input;
    // Protocols 0 and 1 begin with any opcode.
    for (let opcode = input.uint8(); opcode !== Op.STOP; opcode = input.uint8()) this.#step(opcode);
    if (input.position < input.byteLength) throw new Error("bytes follow its end.");
    let result = this.#stack.pop();
    if (!this.#stack.empty) throw new Error("it ends with values left over.");
    if (this.#replaced.size > 0 && this.#shared) result = replaceAll(result, this.#replaced);
    const global = this.#globals && !this.#keep ? findGlobal(result) : undefined;
    if (global !== undefined) throw this.#refuse(`${global} is no plain data`);
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
      case Op.INT: {
        const text = this.#line();
        if (text === "00" || text === "01") stack.push(text === "01");
        else this.#digits(text);
        return;
      }
      case Op.LONG:
        this.#digits(this.#line().replace(/L$/, ""));
        return;
      case Op.FLOAT:
        stack.push(floatOf(this.#line()));
        return;
      case Op.STRING:
        stack.push(unquoted(this.#line()));
        return;
      case Op.UNICODE:
        stack.push(unescaped(this.#line()));
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
        stack.push(input.bytes(input.uint64()));
        return;
      case Op.BYTEARRAY8: {
        const bytes = input.bytes(input.uint64());
        stack.push(
          new PyByteArray(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength),
        );
        return;
      }
      case Op.EMPTY_LIST:
        stack.push([]);
        return;
      case Op.LIST:
        stack.push(stack.popMark());
        return;
      case Op.DICT: {
        const items = stack.popMark();
        stack.push(this.#maps ? new Map() : {});
        this.#setItems(items);
        return;
      }
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
        stack.push(tupleOf(stack.popMark()));
        return;
      case Op.TUPLE1:
      case Op.TUPLE2:
      case Op.TUPLE3:
        stack.push(tupleOf(stack.popMany(opcode - Op.TUPLE1 + 1)));
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
        stack.push(this.#add(new PyFrozenSet(), stack.popMark()));
        return;
      case Op.PUT:
        this.#put(indexOf(this.#line()));
        return;
      case Op.GET:
        this.#get(indexOf(this.#line()));
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
        this.#global(input.name(), input.name());
        return;
      case Op.STACK_GLOBAL: {
        const [module, name] = stack.popMany(2);
        if (typeof module !== "string" || typeof name !== "string") {
          throw new Error("it asks for something whose name is no str.");
        }
        this.#global(module, name);
        return;
      }
      case Op.REDUCE: {
        const [called, args] = stack.popMany(2);
        stack.push(this.#call(called, args));
        return;
      }
      case Op.NEWOBJ: {
        const [type, args] = stack.popMany(2);
        stack.push(this.#make(type, args, true));
        return;
      }
      case Op.NEWOBJ_EX: {
        const [type, args, keywords] = stack.popMany(3);
        stack.push(this.#make(type, args, keywordsOf(keywords)));
        return;
      }
      case Op.INST: {
        const args = stack.popMark();
        this.#global(input.name(), input.name());
        stack.push(this.#call(stack.pop(), tupleOf(args)));
        return;
      }
      case Op.OBJ: {
        const [called, ...args] = stack.popMark();
        stack.push(this.#call(called, tupleOf(args)));
        return;
      }
      case Op.BUILD: {
        const state = stack.pop();
        const object = stack.top();
        const built = build(object, state);
        if (built === object) return;
        this.#replaced.set(object, built);
        stack.replaceTop(built);
        return;
      }
      default:
        throw this.#unknown(opcode);
    }
  }

  /** A line of protocol 0, as Latin-1. */
  #line(): string {
    const bytes = this.#input.line();
    let text = "";
    for (const byte of bytes) text += String.fromCharCode(byte);
    return text;
  }

  #digits(text: string): void {
    if (!/^[+-]?\d{1,100000}$/.test(text)) throw new Error("an int is none.");
    const value = Number(text);
    this.#integer(Number.isSafeInteger(value) ? value : BigInt(text));
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
    const top = this.#stack.top();
    const list = top instanceof PyObject ? top.items : top;
    if (!Array.isArray(list) || list instanceof PyTuple) throw new Error("it appends to no list.");
    for (const item of items) list.push(item);
  }

  #setItems(items: readonly unknown[]): void {
    let dict = this.#stack.top();
    if (items.length % 2 !== 0) throw new Error("a key has no value.");
    for (let i = 0; i < items.length; i += 2) {
      const key = items[i];
      const value = items[i + 1];
      if (dict instanceof PyObject) dict.entries.push([key, value]);
      else if (dict instanceof Map) dict.set(key, value);
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
    for (const item of items) set.add(item);
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
    const global = modernGlobal(module, name);
    if (!this.#keep && !isKnownName(global.module, global.name)) {
      throw new PartdError(
        "ERR_PARTD_CODEC",
        `the pickle asks for ${JSON.stringify(`${global}`.slice(0, 100))}, which is no plain data; convert it in Python, for example with list, dict or str, or read with { objects: "keep" }.`,
      );
    }
    this.#globals = true;
    this.#stack.push(global);
  }

  #call(called: unknown, args: unknown): unknown {
    if (!(called instanceof PyGlobal)) throw new Error("it calls what is no function.");
    const call = callOf(called);
    if (call) return call(argumentsOf(args), (bytes) => this.#spend(bytes));
    return new PyObject(called, argumentsOf(args));
  }

  #make(type: unknown, args: unknown, made: true | ReadonlyMap<string, unknown>): unknown {
    if (!(type instanceof PyGlobal)) throw new Error("it makes an object of no class.");
    if (callOf(type)) throw this.#refuse(`it makes an object of ${type} by hand`);
    const known = made === true ? newObject(type, argumentsOf(args)) : undefined;
    return known ?? new PyObject(type, argumentsOf(args), made);
  }

  /** Copies made by calls: together of the order of the pickle, which has to say it all once. */
  #spend(bytes: number): void {
    this.#budget -= bytes;
    if (this.#budget < 0) throw this.#refuse("it makes more copies than it is long");
  }

  #unknown(opcode: number): Error {
    const character = String.fromCharCode(opcode);
    if (OTHER_OPCODES.includes(character) || OTHER_BINARY.has(opcode)) {
      return this.#refuse(`it refers to what is outside it (opcode 0x${opcode.toString(16)})`);
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
/** PERSID and BINPERSID. */
const OTHER_OPCODES = "PQ";
/** EXT1 to EXT4, NEXT_BUFFER, READONLY_BUFFER. */
const OTHER_BINARY: ReadonlySet<number> = new Set([0x82, 0x83, 0x84, 0x97, 0x98]);

function tupleOf(items: readonly unknown[]): PyTuple {
  const tuple = new PyTuple();
  for (const item of items) tuple.push(item);
  return tuple;
}

/** The arguments of a call, which are a tuple. */
function argumentsOf(value: unknown): PyTuple {
  if (value instanceof PyTuple) return value;
  throw new Error("the pickle calls something without a tuple of arguments.");
}

function keywordsOf(value: unknown): ReadonlyMap<string, unknown> {
  if (value instanceof Map) return value;
  if (isRecord(value)) return new Map(Object.entries(value));
  throw new Error("the pickle makes something with keywords that are no dict.");
}

function indexOf(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new Error("it refers to a place that is none.");
}

function floatOf(text: string): number {
  const value = /^[+-]?(inf|nan)$/.test(text)
    ? Number(text.replace("inf", "Infinity").replace(/[+-]?nan/, "NaN"))
    : Number(text);
  if (text === "" || (Number.isNaN(value) && !text.endsWith("nan")))
    throw new Error("a float is none.");
  return value;
}

/** A str of Python 2, quoted as by `repr`. */
function unquoted(text: string): string {
  const quote = text[0];
  if ((quote !== "'" && quote !== '"') || text.length < 2 || text.at(-1) !== quote) {
    throw new Error("a str is not quoted.");
  }
  const bytes = text.slice(1, -1).replace(/\\(x[0-9a-fA-F]{2}|.)/g, (_, character: string) => {
    if (character[0] === "x" && character.length === 3) {
      return String.fromCharCode(Number.parseInt(character.slice(1), 16));
    }
    return { n: "\n", t: "\t", r: "\r" }[character] ?? character;
  });
  const utf8 = latin1Bytes(bytes);
  return new ByteReader(utf8).text(utf8.byteLength);
}

/** A str of protocol 0: Latin-1 but for `\\uXXXX` and `\\UXXXXXXXX`. */
function unescaped(text: string): string {
  return text.replace(/\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))/g, (_, short, long) => {
    const code = Number.parseInt(short ?? long, 16);
    if (code > 0x10ffff) throw new Error("a character is none.");
    return short === undefined ? String.fromCodePoint(code) : String.fromCharCode(code);
  });
}

/** An object that a dict was read as. */
function isRecord(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype
  );
}

/** Sets an item; `__proto__` by assignment would be the object's prototype instead. */
function defineProperty(record: Record<string, unknown>, key: string, value: unknown): void {
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
