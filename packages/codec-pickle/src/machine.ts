import { recordOf, setField } from "@partd/core/author";
import { Evaluator, findGlobal, isRecord, refusal } from "./evaluator.js";
import { MarkedStack, Memo } from "./machine-state.js";
import {
  floatOf,
  indexOf,
  integerOf,
  type OpcodeReader,
  unescaped,
  unquoted,
} from "./opcode-reader.js";
import { Op } from "./opcodes.js";
import { PyByteArray, PyFrozenSet, PyTuple, tupleOf } from "./python/builtins.js";
import { PyObject } from "./python/object.js";

/**
 * Runs one pickle, with a stack with marks and a memo. It imports and calls nothing: what a pickle
 * would call becomes a value of a known type of Python's, or a {@link PyObject} that describes the
 * call. Memory is bounded by the input: no length is trusted before its bytes are there, and no
 * opcode makes more than its bytes warrant.
 */
export class Machine {
  readonly #input: OpcodeReader;
  readonly #integers: "auto" | "number" | "bigint";
  readonly #maps: boolean;
  readonly #stack = new MarkedStack();
  readonly #memo = new Memo();
  /** Whether there is a class or function. It may be an argument, but not a value. */
  #globals = false;
  /** Whether objects of unknown types are kept. */
  readonly #keep: boolean;
  readonly #evaluator: Evaluator;
  /** How many names the last dict had that began with a key. */
  readonly #sizes = new Map<unknown, number>();
  /** Names for which room may be taken before they are read. Each will take three bytes or more. */
  #room: number;

  constructor(
    input: OpcodeReader,
    integers: "auto" | "number" | "bigint",
    maps: boolean,
    keep: boolean,
  ) {
    this.#input = input;
    this.#integers = integers;
    this.#maps = maps;
    this.#keep = keep;
    this.#evaluator = new Evaluator(input, keep);
    this.#room = input.byteLength / 3;
  }

  run(): unknown {
    const input = this.#input;
    // Protocols 0 and 1 begin with any opcode.
    for (let opcode = input.uint8(); opcode !== Op.STOP; opcode = input.uint8()) this.#step(opcode);
    if (input.position < input.byteLength) throw new Error("bytes follow its end.");
    const last = this.#stack.pop();
    if (this.#stack.height > 0) throw new Error("it ends with values left over.");
    const result = this.#memo.finish(last);
    const global = this.#globals && !this.#keep ? findGlobal(result) : undefined;
    if (global !== undefined) throw refusal(this.#input, `${global} is not plain data`);
    return result;
  }

  #step(opcode: number): void {
    const input = this.#input;
    const stack = this.#stack;
    switch (opcode) {
      case Op.PROTO:
        if (input.uint8() > 5) throw refusal(this.#input, "its protocol is newer than 5");
        return;
      case Op.FRAME:
        input.uint64(); // Frames only matter to readers of files.
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
        this.#memo.share();
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
        const text = input.line();
        if (text === "00" || text === "01") stack.push(text === "01");
        else this.#integer(integerOf(text));
        return;
      }
      case Op.LONG:
        this.#integer(integerOf(input.line().replace(/L$/, "")));
        return;
      case Op.FLOAT:
        stack.push(floatOf(input.line()));
        return;
      case Op.STRING:
        stack.push(unquoted(input.line()));
        return;
      case Op.UNICODE:
        stack.push(unescaped(input.line()));
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
        for (const item of items) stack.push(item);
        this.#setItems(stack.drop(items.length), stack.height + items.length);
        return;
      }
      case Op.APPEND:
        this.#append(stack.drop(1), stack.height + 1);
        return;
      case Op.APPENDS: {
        const end = stack.height;
        this.#append(stack.dropMark(), end);
        return;
      }
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
        stack.push(this.#maps ? new Map() : this.#emptyRecord());
        return;
      case Op.SETITEM:
        this.#setItems(stack.drop(2), stack.height + 2);
        return;
      case Op.SETITEMS: {
        const end = stack.height;
        this.#setItems(stack.dropMark(), end);
        return;
      }
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
        this.#put(indexOf(input.line()));
        return;
      case Op.GET:
        stack.push(this.#memo.get(indexOf(input.line())));
        return;
      case Op.BINPUT:
        this.#put(input.uint8());
        return;
      case Op.LONG_BINPUT:
        this.#put(input.uint32());
        return;
      case Op.MEMOIZE:
        this.#put(this.#memo.length);
        return;
      case Op.BINGET:
        stack.push(this.#memo.get(input.uint8()));
        return;
      case Op.LONG_BINGET:
        stack.push(this.#memo.get(input.uint32()));
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
        stack.push(this.#evaluator.call(called, args));
        return;
      }
      case Op.NEWOBJ: {
        const [type, args] = stack.popMany(2);
        stack.push(this.#evaluator.make(type, args));
        return;
      }
      case Op.NEWOBJ_EX: {
        const [type, args, keywords] = stack.popMany(3);
        stack.push(this.#evaluator.make(type, args, keywords));
        return;
      }
      case Op.INST: {
        const args = stack.popMark();
        this.#global(input.name(), input.name());
        stack.push(this.#evaluator.call(stack.pop(), tupleOf(args)));
        return;
      }
      case Op.OBJ: {
        const [called, ...args] = stack.popMark();
        stack.push(this.#evaluator.call(called, tupleOf(args)));
        return;
      }
      case Op.BUILD: {
        const state = stack.pop();
        const object = stack.top();
        const built = this.#evaluator.build(object, state);
        if (built === object) return;
        this.#memo.replace(object, built);
        stack.replaceTop(built);
        return;
      }
      default:
        throw this.#unknown(opcode);
    }
  }

  #integer(value: number | bigint): void {
    this.#stack.push(this.#converted(value));
  }

  #converted(value: number | bigint): number | bigint {
    if (this.#integers === "bigint") return BigInt(value);
    if (typeof value === "number") return value;
    if (value >= -MAX_SAFE && value <= MAX_SAFE) return Number(value);
    if (this.#integers === "auto") return value;
    throw refusal(
      this.#input,
      'an int would be rounded; read with { integers: "auto" } to have it as a BigInt',
    );
  }

  // ---- Containers ------------------------------------------------------------------------------

  /** Appends what was dropped from the stack, from one height up to another. */
  #append(start: number, end: number): void {
    const stack = this.#stack;
    const top = stack.top();
    const list = top instanceof PyObject ? top.items : top;
    if (!Array.isArray(list) || list instanceof PyTuple) throw new Error("it appends to no list.");
    for (let i = start; i < end; i++) list.push(stack.at(i));
  }

  /**
   * With room for as many names as the last dict had whose first key was the one that follows: `get` of
   * earthquakes takes 0.67 times the CPU.
   */
  #emptyRecord(): Record<string, unknown> {
    if (this.#sizes.size === 0) return {};
    const size = this.#sizes.get(this.#memo.at(this.#input.firstKey())) ?? 0;
    this.#room -= size;
    return this.#room < 0 ? {} : recordOf(size);
  }

  /** Sets keys and values that were dropped from the stack, in the same way. */
  #setItems(start: number, end: number): void {
    const stack = this.#stack;
    const top = stack.top();
    // A copy of the reference may still be the object that became a Map.
    let dict = this.#memo.current(top);
    if ((end - start) % 2 !== 0) throw new Error("a key has no value.");
    let i = start;
    if (isRecord(dict)) {
      for (; i < end; i += 2) {
        const key = stack.at(i);
        if (typeof key !== "string") break;
        setField(dict, key, stack.at(i + 1));
      }
      if (i === end) {
        if (end - start > 2 * FEW_NAMES) this.#sizes.set(stack.at(start), (end - start) / 2);
        return;
      }
      const map = new Map<unknown, unknown>(Object.entries(dict));
      this.#memo.replace(dict, map);
      stack.replaceTop(map);
      dict = map;
    }
    for (; i < end; i += 2) {
      const key = stack.at(i);
      const value = stack.at(i + 1);
      if (dict instanceof PyObject) dict.entries.push([key, value]);
      else if (dict instanceof Map) {
        this.#checkDistinct(dict, key);
        dict.set(key, value);
      } else throw new Error("it sets items of no dict.");
    }
  }

  #add(set: unknown, items: readonly unknown[]): Set<unknown> {
    if (!(set instanceof Set)) throw new Error("it adds to no set.");
    for (const item of items) {
      this.#checkDistinct(set, item);
      set.add(item);
    }
    return set;
  }

  /** In Python NaN equals nothing, so a dict or set may hold several; here it would hold only one. */
  #checkDistinct(keys: { has(key: unknown): boolean }, key: unknown): void {
    if (!Number.isNaN(key) || !keys.has(key)) return;
    throw refusal(this.#input, "two keys that are NaN, which are one here");
  }

  #put(index: number): void {
    // Each entry takes at least a byte of the pickle; a larger index would only take memory.
    if (index > this.#input.byteLength) throw new Error("it memoizes out of order.");
    this.#memo.put(index, this.#stack.top());
  }

  #global(module: string, name: string): void {
    this.#globals = true;
    this.#stack.push(this.#evaluator.global(module, name));
  }

  #unknown(opcode: number): Error {
    const character = String.fromCharCode(opcode);
    if (OTHER_OPCODES.includes(character) || OTHER_BINARY.has(opcode)) {
      return refusal(
        this.#input,
        `it refers to what is outside it (opcode 0x${opcode.toString(16)})`,
      );
    }
    return new Error(`0x${opcode.toString(16)} is no opcode.`);
  }
}

/** Dicts of as many names need no room in advance. */
const FEW_NAMES = 8;
const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER);
/** PERSID and BINPERSID. */
const OTHER_OPCODES = "PQ";
/** EXT1 to EXT4, NEXT_BUFFER, READONLY_BUFFER. */
const OTHER_BINARY: ReadonlySet<number> = new Set([0x82, 0x83, 0x84, 0x97, 0x98]);
