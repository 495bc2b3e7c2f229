import { PartdError } from "@partd/core";
import { viewOf } from "@partd/core/author";

/** A name that a pickle refers to: a class or function. It is neither imported nor called. */
export class PyGlobal {
  readonly module: string;
  readonly name: string;

  constructor(module: string, name: string) {
    this.module = module;
    this.name = name;
  }

  toString(): string {
    return `${this.module}.${this.name}`;
  }
}

/** The modern form of a name of Python 2, which protocols 0 to 2 use. */
export function modernGlobal(module: string, name: string): PyGlobal {
  if (module === "__builtin__") {
    const names: Record<string, string> = { xrange: "range", long: "int", unicode: "str" };
    return new PyGlobal("builtins", Object.hasOwn(names, name) ? (names[name] as string) : name);
  }
  if (module === "exceptions") return new PyGlobal("builtins", name);
  return new PyGlobal(module === "copy_reg" ? "copyreg" : module, name);
}

/** The name of Python 2 for a modern one. */
export function oldGlobal({ module, name }: PyGlobal): PyGlobal {
  if (module === "builtins") {
    const names: Record<string, string> = { range: "xrange", int: "long", str: "unicode" };
    return new PyGlobal("__builtin__", Object.hasOwn(names, name) ? (names[name] as string) : name);
  }
  return module === "copyreg" ? new PyGlobal("copy_reg", name) : new PyGlobal(module, name);
}

/**
 * An object of an unknown type: what Python would call, with which arguments, and what it would do to
 * the result. Nothing of that happens here; the object is written as it was read.
 */
export class PyObject {
  /** What `BUILD` would set, mostly a dict of attributes; undefined for none. */
  state: unknown = undefined;
  /** Items that would be appended to it. */
  readonly items: unknown[] = [];
  /** Keys and values that would be set in it. */
  readonly entries: [key: unknown, value: unknown][] = [];

  readonly type: PyGlobal;
  readonly args: readonly unknown[];
  /**
   * Whether `__new__` makes it rather than a call; a Map holds the keywords for `__new__`. Default
   * false.
   */
  readonly made: boolean | ReadonlyMap<string, unknown>;

  constructor(
    type: PyGlobal,
    args: readonly unknown[],
    made: boolean | ReadonlyMap<string, unknown> = false,
  ) {
    this.type = type;
    this.args = args;
    this.made = made;
  }
}

/** A number that Python reads as a float even without a fraction. */
export class PyFloat {
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }
}

/** How Python makes an object: a call, and what it does to the result. */
export interface Reduction {
  readonly type: PyGlobal;
  readonly args: readonly unknown[];
  readonly made?: boolean | ReadonlyMap<string, unknown>;
  readonly state?: unknown;
  readonly items?: readonly unknown[];
  readonly entries?: Iterable<readonly [unknown, unknown]>;
}

/** Returns what a call in a pickle would make, without calling anything. */
export type Call = (args: readonly unknown[], spend: (bytes: number) => void) => unknown;

/** The calls of some names, by name. */
export type Calls = Readonly<Record<string, Call>>;

/** How Python makes the objects of a class. */
export interface Reducer<T = never> {
  readonly type: abstract new (...args: never[]) => T;
  /** How many properties its constructor sets. More are a program's own, which would be lost. */
  readonly fields: number;
  readonly reduce: (value: T) => Reduction;
}

/** The {@link Reducer} of a class, so that the value's type is inferred. */
export function reducer<T>(
  type: Reducer<T>["type"],
  fields: number,
  reduce: (value: T) => Reduction,
): Reducer {
  return { type, fields, reduce } as Reducer<T> as unknown as Reducer;
}

/** The reduction that calls `path`, such as `"datetime.date"`. */
export function call(path: string, ...args: unknown[]): Reduction {
  const dot = path.lastIndexOf(".");
  return { type: new PyGlobal(path.slice(0, dot), path.slice(dot + 1)), args };
}

// ---- Arguments, all checked --------------------------------------------------------------------

export function list(
  items: unknown,
  name: string,
  spend: (bytes: number) => void,
): readonly unknown[] {
  if (items === undefined) return [];
  if (!Array.isArray(items)) throw misused(name);
  spend(items.length);
  return items;
}

export function int(value: unknown): number | bigint {
  if (typeof value === "bigint" || Number.isSafeInteger(value)) return value as number | bigint;
  throw new Error("the pickle gives something else than an int.");
}

export function number(value: unknown): number {
  return Number(int(value));
}

export function float(value: unknown): number {
  if (typeof value === "number") return value;
  throw new Error("the pickle gives something else than a float.");
}

export function exact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

export function integer(text: string): number | bigint {
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : BigInt(text);
}

export function latin1Bytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => {
    const code = character.charCodeAt(0);
    if (code > 0xff || character.length > 1) throw misused("encode");
    return code;
  });
}

export function latin1Text(bytes: Uint8Array): string {
  let text = "";
  for (const byte of viewOf(bytes)) text += String.fromCharCode(byte);
  return text;
}

export function valid<T>(name: string, make: () => T): T {
  try {
    return make();
  } catch {
    throw misused(name);
  }
}

export function misused(name: string): Error {
  return new Error(`the pickle calls ${name} with arguments that it does not take.`);
}

/** An error for a pickle that holds what is not read. */
export function refuse(reason: string): PartdError {
  return new PartdError("ERR_PARTD_CODEC", `the pickle holds more than plain data: ${reason}.`);
}

/** Thrown for what a pickle cannot carry. */
export class Refusal extends Error {}

/** Checks an argument of a constructor of one of Python's types. */
export function check(valid: boolean, what: string): void {
  if (!valid) throw new PartdError("ERR_PARTD_VALUE", `It is ${what} of Python's.`);
}

export function isWithin(value: number, min: number, max: number): boolean {
  return Number.isInteger(value) && value >= min && value <= max;
}
