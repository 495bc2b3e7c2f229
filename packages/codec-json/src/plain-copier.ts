import { brandOf, hasFields, hasItemsAlone, setField } from "@partd/core/author";
import { isWide } from "./exact-integers.js";

/**
 * Copies a list as JSON holds it: reads each property and calls each `toJSON` once, so that what is
 * written is what was checked, whatever a getter or a proxy returns the next time. A spread copies an
 * object in 11 ns, and `for in` over a copy runs no code of the program, so copying takes no longer
 * than checking did (flights and earthquakes; up to 80 ns an object in lists that mix dozens of
 * shapes).
 */
export class PlainCopier {
  /** The first value that `JSON.stringify` would leave out or change, as `"[2].delay is NaN"`. */
  get loss(): string {
    return `${this.#place || "the list"} ${this.#loss}`;
  }

  /** Whether a number was copied that {@link isWide}. */
  hasWide = false;
  readonly #bigints: boolean;
  readonly #checkEnd: () => void;
  #place = "";
  #loss = "";
  #objects = 0;
  /** The copies of objects beyond {@link MANY}: a few objects may occur in a list 2^30 times. */
  readonly #copies = new Map<object, unknown>();
  #isEndChecked = false;

  /** @param checkEnd throws if the list has a cycle. */
  constructor(bigints: boolean, checkEnd: () => void) {
    this.#bigints = bigints;
    this.#checkEnd = checkEnd;
  }

  /** The copy, or {@link LOST}. */
  copy(list: readonly unknown[]): unknown {
    return this.#copy(list, "", 0);
  }

  /** @param name the property name or index of the value, which `toJSON` receives. */
  #copy(value: unknown, name: string | number, depth: number): unknown {
    switch (typeof value) {
      case "string":
      case "boolean":
        return value;
      case "number":
        if (Number.isSafeInteger(value)) return value;
        if (!Number.isFinite(value)) return this.#lose(`is ${value}`);
        if (isWide(value)) this.hasWide = true;
        return value;
      case "bigint":
        return this.#bigints ? value : this.#lose('is a bigint (write with { integers: "auto" })');
      case "object": {
        if (value === null) return null;
        if (depth > DEEP) this.#expectEnd();
        const { toJSON } = value as { toJSON?: unknown };
        if (typeof toJSON !== "function") return this.#copyParts(value, depth);
        // A `toJSON` of the result is not called.
        const given: unknown = toJSON.call(value, String(name));
        if (given === null && tag(value) === "Date") return this.#lose("is an invalid Date");
        const copy =
          typeof given === "object" && given !== null
            ? this.#copyParts(given, depth)
            : this.#copy(given, name, depth);
        return copy === LOST ? this.#loseGiven(value) : copy;
      }
      default:
        return this.#lose(value === undefined ? "is undefined" : `is a ${typeof value}`);
    }
  }

  #copyParts(value: object, depth: number): unknown {
    const known = ++this.#objects > MANY ? this.#copies.get(value) : undefined;
    if (known !== undefined) return known;
    const copy = Array.isArray(value)
      ? this.#copyArray(value, depth)
      : this.#copyObject(value, depth);
    if (this.#objects > MANY && copy !== LOST) {
      if (this.#copies.size >= MOST_COPIES) this.#copies.clear();
      this.#copies.set(value, copy);
    }
    return copy;
  }

  /**
   * Many items are copied at once: pushing each took half again as long as all of `append` for short
   * texts. `slice` would ask Symbol.species.
   */
  #copyArray(array: readonly unknown[], depth: number): unknown {
    if (!hasItemsAlone(array)) return this.#loseArray(array, depth);
    const { length } = array; // A Proxy's length may grow at each look.
    const isLong = length > FEW_ITEMS;
    const copy: unknown[] = isLong ? toSpliced.call(array, 0, 0) : [];
    for (let i = 0; i < length; i++) {
      const item = isLong ? copy[i] : array[i];
      const part = typeof item === "string" ? item : this.#copy(item, i, depth + 1);
      if (part === LOST) return this.#loseIn(`[${i}]`);
      if (!isLong) copy.push(part);
      else if (part !== item) copy[i] = part;
    }
    return hasSymbols(array) ? this.#loseSymbols(array) : copy;
  }

  /** By index: `every` and `forEach` skip holes, which JSON.stringify writes as null. */
  #loseArray(array: readonly unknown[], depth: number): typeof LOST {
    const { length } = array; // A Proxy's length may grow at each look.
    for (let i = 0; i < length; i++) {
      if (this.#copy(array[i], i, depth + 1) === LOST) return this.#loseIn(`[${i}]`);
    }
    const what = hasFields(array) ? "properties beside its items" : "items that are not enumerable";
    return this.#lose(`${nameOf(array)} with ${what}`);
  }

  #copyObject(object: object, depth: number): unknown {
    const prototype: unknown = Object.getPrototypeOf(object);
    if (prototype !== Object.prototype) {
      if (prototype !== null && tag(object) !== "Object") return this.#lose(nameOf(object));
      const brand = brandOf(object);
      if (brand !== undefined) return this.#loseBrand(brand);
    }
    if (hasSymbols(object)) return this.#loseSymbols(object);
    const copy: Record<string, unknown> = { ...object };
    let isEmpty = true;
    // `for in` reads a property in a quarter of the time that `copy[name]` of listed names takes.
    for (const name in copy) {
      if (isEmpty && name === "0" && ArrayBuffer.isView(object)) break; // Or it is read as an object.
      isEmpty = false;
      const value = copy[name];
      if (typeof value === "string" || value === null || Number.isSafeInteger(value)) continue;
      const part = this.#copy(value, name, depth + 1);
      // A property that a program gave all objects.
      if (part === value || !Object.hasOwn(copy, name)) continue;
      if (part === LOST) return this.#loseIn(`.${name}`);
      setField(copy, name, part);
    }
    if (!isEmpty) return copy;
    // An instance of a class may keep its content in private fields.
    if (prototype !== Object.prototype)
      return prototype === null ? copy : this.#lose(nameOf(object));
    const brand = brandOf(object);
    return brand === undefined ? copy : this.#loseBrand(brand);
  }

  /** @throws if the list contains itself: reading it would not end. */
  #expectEnd(): void {
    if (this.#isEndChecked) return;
    this.#checkEnd();
    this.#isEndChecked = true;
  }

  #lose(loss: string): typeof LOST {
    this.#loss = loss;
    this.#place = "";
    return LOST;
  }

  #loseIn(step: string): typeof LOST {
    this.#place = step + this.#place;
    return LOST;
  }

  /** Names the object itself, because the loss is in what its `toJSON` returned. */
  #loseGiven(object: object): typeof LOST {
    const [place, loss] = [this.#place, this.#loss];
    const given = place === "" ? `what ${loss}` : `a value whose ${place} ${loss}`;
    return this.#lose(`${nameOf(object)}, whose toJSON gives ${given}`);
  }

  #loseSymbols(object: object): typeof LOST {
    return this.#lose(`${nameOf(object)} with a property whose name is a symbol`);
  }

  #loseBrand(brand: string): typeof LOST {
    return this.#lose(`is ${brand} whose prototype or tag was changed`);
  }
}

export const LOST = Symbol("lost");

/** Deeper lists are first checked for cycles. */
const DEEP = 32;
const MANY = 1e6;
/** A Map holds at most 2^24 objects. */
const MOST_COPIES = 2 ** 23;

/** For as few, a call into the runtime made `append` of earthquakes take 1.2 times the CPU. */
const FEW_ITEMS = 16;

const { toSpliced } = Array.prototype as unknown[];

function hasSymbols(object: object): boolean {
  return Object.getOwnPropertySymbols(object).length > 0;
}

function nameOf(object: object): string {
  return `is a ${object.constructor?.name ?? tag(object)}`;
}

function tag(object: object): string {
  return Object.prototype.toString.call(object).slice(8, -1);
}
