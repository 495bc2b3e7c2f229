import { deserialize, serialize } from "node:v8";
import {
  brandOf,
  classOf,
  hasItemsAlone,
  hasViewFields,
  isLost,
  LOST_BYTES,
  lengthOf,
  placeOf,
} from "@partd/core/author";

/**
 * Finds what a structured clone of `list` would silently lose. `loss` describes the first, such as
 * `"[2].url is a URL, …"`, or is `undefined`. What the serializer itself refuses is not looked for,
 * except depth. `plain` says that the list holds only plain objects, short arrays without holes or
 * fields, and primitives; `objects`, how many objects were looked at.
 *
 * @param byName looks at the names of long arrays, too.
 */
export function checkLoss(
  list: readonly unknown[],
  byName = false,
): { loss: string | undefined; plain: boolean; objects: number } {
  const check = new LossCheck(byName);
  const reason = check.reasonToRefuse(list);
  const { plain, objects } = check;
  if (reason === undefined) return { loss: undefined, plain, objects };
  const place = placeOf(list, (part) => new LossCheck(true).reasonToRefuse(part) !== undefined);
  return { loss: `${place || "the list"} ${reason}`, plain: false, objects };
}

/** How many distinct objects a list holds. */
export function countObjects(list: readonly unknown[]): number {
  const check = new LossCheck(true, new Set());
  check.reasonToRefuse(list);
  return check.objects;
}

/** Node and browsers can read this many levels with their default stack. */
export const MAX_DEPTH = 1000;

class LossCheck {
  plain = true;
  /** Objects visited, each at least once. */
  objects = 0;
  /**
   * Objects visited. Undefined until {@link SHALLOW} or {@link FEW} is exceeded: only then can a
   * cycle or much sharing be found.
   */
  #seen: Set<object> | undefined;

  readonly #byName: boolean;

  constructor(byName = false, seen?: Set<object>) {
    this.#byName = byName;
    this.#seen = seen;
  }

  /** Why a value would not read back unchanged, or cannot be read now; `undefined` if it would. */
  reasonToRefuse(value: unknown): string | undefined {
    try {
      return this.reason(value);
    } catch (error) {
      return `cannot be read: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  /**
   * Why a value at `depth` would not read back unchanged, or `undefined`. Arrays and plain objects are
   * visited here, in one function: split into four, it takes half as long again.
   */
  reason(value: unknown, depth = 0): string | undefined {
    if (typeof value !== "object" || value === null) return undefined;
    if (this.#seen !== undefined || depth >= SHALLOW || this.objects >= FEW) {
      if (this.#isSeen(value)) return undefined;
    }
    this.objects++;
    if (depth === MAX_DEPTH) return `is nested more than ${MAX_DEPTH} deep`;
    if (Array.isArray(value)) {
      if (value.length > MOST_ITEMS_BY_INDEX) return this.#keptReason(value, depth);
      const { length } = value; // A Proxy's length may grow at each look.
      for (let i = 0; i < length; i++) {
        const item: unknown = value[i];
        if (typeof item === "object" && item !== null) {
          if (value[i] !== item) return GETTER;
          const reason = this.reason(item, depth + 1);
          if (reason !== undefined) return reason;
        } else if (item === undefined) this.plain = false; // It may be a hole.
      }
      if (length <= FEW_ITEMS || this.#byName) {
        if (!hasItemsAlone(value)) return this.#keptReason(value, depth);
      } else if (depth > 0) this.plain = false; // Whether it was written by names tells.
      return ownSymbols(value);
    }
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype === Date.prototype && Object.prototype.toString.call(value) === DATE) {
      return ownReason(value);
    }
    if (prototype !== Object.prototype && (prototype !== null || brandOf(value) !== undefined)) {
      this.plain = false;
      return this.#classReason(value, depth);
    }
    let isEmpty = true;
    // `for in` reads a property in a quarter of the time that `object[name]` of listed names takes,
    // and leaves no garbage.
    for (const name in value) {
      isEmpty = false;
      const part = (value as Record<string, unknown>)[name];
      if (typeof part === "object" && part !== null) {
        // A getter may return another object at a second look. A primitive loses nothing; if it was an
        // object when it was written, the count of objects tells.
        const own = Object.getOwnPropertyDescriptor(value, name);
        if (own === undefined) continue; // A property that a program gave all objects is not written.
        if (own.get !== undefined) return GETTER;
        const reason = this.reason(part, depth + 1);
        if (reason !== undefined) return reason;
      }
    }
    return (isEmpty ? brandReason(value) : undefined) ?? ownSymbols(value);
  }

  /** Remembers the object. @returns whether it was remembered already. */
  #isSeen(value: object): boolean {
    this.#seen ??= new Set();
    if (this.#seen.has(value)) return true;
    if (this.#seen.size > MOST_SEEN) this.#seen.clear();
    this.#seen.add(value);
    return false;
  }

  #classReason(value: object, depth: number): string | undefined {
    if (ArrayBuffer.isView(value)) return viewReason(value);
    switch (Object.prototype.toString.call(value)) {
      case "[object Object]":
        if (Object.keys(value).length === 0) return brandReason(value) ?? classReason(value);
        return brandReason(value) ?? this.#partsReason(value, depth);
      case "[object Map]":
        // By Map's own iterator, as it is written: a subclass may iterate differently.
        for (const [key, item] of Map.prototype.entries.call(value)) {
          const reason = this.reason(key, depth + 1) ?? this.reason(item, depth + 1);
          if (reason !== undefined) return reason;
        }
        return ownReason(value);
      case "[object Set]":
        for (const item of Set.prototype.values.call(value)) {
          const reason = this.reason(item, depth + 1);
          if (reason !== undefined) return reason;
        }
        return ownReason(value);
      case "[object Error]":
        return this.#errorReason(value as Error, depth);
      case "[object RegExp]":
        return (value as RegExp).lastIndex === 0 ? ownReason(value) : LAST_INDEX;
      case "[object ArrayBuffer]":
      case "[object Date]":
      case "[object Boolean]":
      case "[object Number]":
      case "[object BigInt]":
        return ownReason(value);
      case "[object String]":
        return Object.keys(value).length > String(value).length ? EXTRA : ownSymbols(value);
      default:
        return classReason(value);
    }
  }

  /** Visits the keys that exist: most items may be holes. A clone also keeps other properties. */
  #keptReason(array: readonly unknown[], depth: number): string | undefined {
    this.plain = false;
    // All names but `length`, which is never enumerable.
    if (Object.getOwnPropertyNames(array).length - 1 > Object.keys(array).length) return HIDDEN;
    return this.#partsReason(array, depth);
  }

  #partsReason(object: object, depth: number): string | undefined {
    for (const name of Object.keys(object)) {
      const part = (object as Record<string, unknown>)[name];
      if (typeof part !== "object" || part === null) continue;
      if (Object.getOwnPropertyDescriptor(object, name)?.get !== undefined) return GETTER;
      const reason = this.reason(part, depth + 1);
      if (reason !== undefined) return reason;
    }
    return ownSymbols(object);
  }

  /** A clone keeps the message, the stack, one of seven names, and on most runtimes the cause. */
  #errorReason(error: Error, depth: number): string | undefined {
    if (!ERROR_NAMES.has(error.name)) {
      return `is an error named ${JSON.stringify(String(error.name).slice(0, 60))}, which would be "Error"`;
    }
    if (Array.isArray((error as AggregateError).errors)) {
      return "is an AggregateError, whose errors would be lost";
    }
    const own = Object.getOwnPropertyDescriptors(error) as Readonly<
      Record<string, PropertyDescriptor | undefined>
    >;
    const { message = NO_MESSAGE, cause } = own;
    if (typeof message.value !== "string" || message.value !== error.message) {
      return "is an error whose message is no text of its own, which would be lost";
    }
    if (error.stack !== undefined && typeof error.stack !== "string") {
      return "is an error whose stack is no text, which would be lost";
    }
    if ("cause" in error) {
      if (!keepsCause()) return "is an error whose cause this runtime does not carry";
      if (cause === undefined || cause.get !== undefined) {
        return "is an error whose cause is given by a getter or its class, which would be lost";
      }
      const reason = this.reason(error.cause, depth + 1);
      if (reason !== undefined) return reason;
    }
    const isKept = (name: string) => ERROR_FIELDS.has(name);
    return Object.getOwnPropertyNames(error).every(isKept) ? ownReason(error) : EXTRA;
  }
}

/**
 * Up to this many levels and visits no object is remembered: visiting shared objects again is
 * cheaper.
 */
const SHALLOW = 8;
const FEW = 1e6;
/** A Set holds at most 2^24 objects. */
const MOST_SEEN = 2 ** 23;
/** Longer arrays are visited by their keys, because nearly all items may be holes. */
const MOST_ITEMS_BY_INDEX = 2 ** 24;
/**
 * Longer arrays are checked by their written form: V8 writes an array by names if anything about it is
 * unusual. Listing the names takes 26 ns an item, and writing an item 1 to 5.
 */
const FEW_ITEMS = 16;
const DATE = "[object Date]";
export const GETTER =
  "is given by a getter or holds one, which may give another value when it is written; append what it gives";
const HIDDEN = "has items or properties that are not enumerable, which would be lost";
const EXTRA = "has properties of its own, which would be lost; keep them in an object beside it";
/** Fields of errors that a clone handles; a name that it loses is refused before. */
const ERROR_FIELDS: ReadonlySet<string> = new Set(["message", "stack", "cause", "name"]);
const NO_MESSAGE: PropertyDescriptor = { value: "" };
const LAST_INDEX = "is a RegExp whose lastIndex is not 0, which would be lost; set it to 0";
const ERROR_NAMES: ReadonlySet<string> = new Set([
  "Error",
  "EvalError",
  "RangeError",
  "ReferenceError",
  "SyntaxError",
  "TypeError",
  "URIError",
]);

/** Refuses a Map or the like that looks like an object: its content and its fields were not checked. */
function brandReason(value: object): string | undefined {
  const brand = brandOf(value);
  return brand && `is ${brand} whose prototype or tag was changed; append a new one`;
}

/**
 * Whether an array that ends its clone has fields. V8 ends an array with the number of its fields, a
 * byte of 0 if there are none, and its length as a varint.
 */
export function endsWithFields(bytes: Uint8Array, length: number): boolean {
  let at = bytes.byteLength - 1;
  for (let rest = length; rest >= 0x80; rest = Math.floor(rest / 0x80)) at--;
  return bytes[at - 1] !== 0;
}

function ownReason(value: object): string | undefined {
  return Object.keys(value).length > 0 ? EXTRA : ownSymbols(value);
}

function ownSymbols(value: object): string | undefined {
  if (Object.getOwnPropertySymbols(value).length === 0) return undefined;
  return "has a property whose name is a symbol, which would be lost";
}

/** The loss of a typed array or DataView. */
function viewReason(view: ArrayBufferView): string | undefined {
  if (classOf.call(view) === undefined) return ownReason(view); // A DataView.
  const length = lengthOf.call(view);
  if (length === 0 && isLost(view)) return LOST;
  if (!hasViewFields(view)) return undefined;
  return Object.keys(view).length > length ? EXTRA : ownSymbols(view);
}

const LOST = `has lost its items: ${LOST_BYTES.replace(/\.$/, "")}`;

function classReason(value: object): string {
  const name = value.constructor?.name || Object.prototype.toString.call(value).slice(8, -1);
  return `is a ${name}, whose content would be lost; append what it is made of`;
}

let cause: boolean | undefined;

function keepsCause(): boolean {
  cause ??= (deserialize(serialize(new Error("", { cause: 1 }))) as Error).cause === 1;
  return cause;
}
