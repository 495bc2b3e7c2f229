import { brandOf, placeOf } from "@partd/core/author";

/**
 * Describes the first value of `list` that `JSON.stringify` would leave out or change:
 * `"[2].delay is NaN, which JSON cannot carry"`, or `undefined` if there is none. This is a second
 * pass over the values, because a replacer function makes `JSON.stringify` several times slower.
 */
export function describeLoss(list: readonly unknown[], bigints: boolean): string | undefined {
  const check = new LossCheck(bigints);
  try {
    if (check.carries(list, "")) return undefined;
    return `${check.locate(list, "")}, which JSON cannot carry`;
  } catch (error) {
    const place = placeOf(list, (part) => isUnreadable(part, bigints)) || "the list";
    return `${place} cannot be read: ${error instanceof Error ? error.message : String(error)}`;
  }
}

function isUnreadable(part: unknown, bigints: boolean): boolean {
  try {
    new LossCheck(bigints).carries(part, "");
    return false;
  } catch {
    return true;
  }
}

class LossCheck {
  readonly #bigints: boolean;
  /**
   * Nested results of `toJSON`. JSON.stringify finds any cycle, except one through a `toJSON` that
   * returns a new object each time.
   */
  #depth = 0;

  constructor(bigints: boolean) {
    this.#bigints = bigints;
  }

  /** @param name the property name or index of the value, which `toJSON` receives. */
  carries(value: unknown, name: string | number): boolean {
    switch (typeof value) {
      case "string":
      case "boolean":
        return true;
      case "number":
        return Number.isFinite(value);
      case "bigint":
        return this.#bigints;
      case "object":
        if (value === null) return true;
        if (typeof (value as Convertible).toJSON === "function") {
          return this.#carriesInstead(value, String(name));
        }
        return Array.isArray(value) ? this.#carriesArray(value) : this.#carriesObject(value);
      default:
        return false;
    }
  }

  /** Describes the first value that is not carried, with its path. */
  locate(value: unknown, path: string): string {
    for (const [step, name, child] of childrenOf(value)) {
      if (!this.carries(child, name)) return this.locate(child, path + step);
    }
    return `${path} ${describe(value)}`.trimStart();
  }

  /** By index: `every` and `forEach` skip holes, which JSON.stringify writes as null. */
  #carriesArray(array: readonly unknown[]): boolean {
    const { length } = array;
    for (let i = 0; i < length; i++) {
      const item = array[i];
      if (typeof item !== "string" && !this.carries(item, i)) return false;
    }
    return Object.keys(array).length === length && !hasSymbols(array);
  }

  #carriesObject(object: object): boolean {
    const isBare = isPlain(object);
    if ((!isBare && !hasOnlyProperties(object)) || hasSymbols(object)) return false;
    if (!isBare) return this.#carriesNamed(object);
    let isEmpty = true;
    // `for in` reads a property in a quarter of the time that `object[name]` of listed names takes.
    for (const name in object) {
      isEmpty = false;
      const value = (object as Record<string, unknown>)[name];
      if (typeof value === "string" || this.carries(value, name)) continue;
      return this.#carriesNamed(object); // It may be what a program gave all objects.
    }
    return !isEmpty || brandOf(object) === undefined;
  }

  #carriesNamed(object: object): boolean {
    for (const name of Object.keys(object)) {
      if (!this.carries((object as Record<string, unknown>)[name], name)) return false;
    }
    return true;
  }

  /** `toJSON` of an invalid Date returns null. A `toJSON` of the returned object is not called. */
  #carriesInstead(object: Convertible, name: string): boolean {
    if (this.#depth > MAX_DEPTH) return false;
    const given = object.toJSON?.(name);
    if (given === null) return tag(object) !== "Date";
    if (typeof given !== "object") return this.carries(given, name);
    this.#depth++;
    const carried = Array.isArray(given) ? this.#carriesArray(given) : this.#carriesObject(given);
    this.#depth--;
    return carried;
  }
}

const MAX_DEPTH = 1000;

function isPlain(object: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(object);
  return prototype === Object.prototype || (prototype === null && brandOf(object) === undefined);
}

/**
 * Whether an object keeps its content in properties. A class instance without any may keep it in
 * private fields.
 */
function hasOnlyProperties(object: object): boolean {
  return (
    tag(object) === "Object" && Object.keys(object).length > 0 && brandOf(object) === undefined
  );
}

function hasSymbols(object: object): boolean {
  return Object.getOwnPropertySymbols(object).length > 0;
}

function* childrenOf(
  value: unknown,
): Generator<[step: string, name: string | number, child: unknown]> {
  if (typeof value !== "object" || value === null) return;
  if (typeof (value as Convertible).toJSON === "function") return;
  if (Array.isArray(value)) {
    const { length } = value; // Of a Proxy it may grow with each look.
    for (let i = 0; i < length; i++) yield [`[${i}]`, i, value[i]];
  } else if (isPlain(value) || hasOnlyProperties(value)) {
    for (const [name, child] of Object.entries(value)) yield [`.${name}`, name, child];
  }
}

function describe(value: unknown): string {
  if (typeof value === "number" || value === undefined) return `is ${value}`;
  if (typeof value === "bigint") return 'is a bigint (write with { integers: "auto" })';
  if (typeof value !== "object" || value === null) return `is a ${typeof value}`;
  const prototype: unknown = Object.getPrototypeOf(value);
  const isRecord = prototype === Object.prototype || prototype === null || tag(value) === "Object";
  const brand = isRecord ? brandOf(value) : undefined;
  if (brand !== undefined) return `is ${brand} whose prototype or tag was changed`;
  if (tag(value) === "Date") return "is an invalid Date";
  const name = value.constructor?.name ?? tag(value);
  if (hasSymbols(value)) return `is a ${name} with a property whose name is a symbol`;
  if (Array.isArray(value)) return `is a ${name} with properties beside its items`;
  return `is a ${name}`;
}

function tag(value: object): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}

interface Convertible {
  toJSON?: (name?: string) => unknown;
}
