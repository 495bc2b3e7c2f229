/**
 * What of `list` the text of `JSON.stringify` leaves out or changes: `"[2].delay is NaN, which JSON
 * cannot carry"`, or `undefined` where it carries all. A second pass over the values, because a
 * replacer function would make `JSON.stringify` several times slower.
 */
export function describeLoss(list: readonly unknown[]): string | undefined {
  return carried(list) ? undefined : `${locate(list, "")}, which JSON cannot carry`;
}

function carried(value: unknown): boolean {
  switch (typeof value) {
    case "string":
    case "boolean":
      return true;
    case "number":
      return Number.isFinite(value);
    case "object":
      return value === null || (Array.isArray(value) ? carriedArray(value) : carriedObject(value));
    default:
      return false;
  }
}

function carriedArray(array: readonly unknown[]): boolean {
  // By index, because a hole is skipped by other loops and would become null.
  for (let i = 0; i < array.length; i++) if (!carried(array[i])) return false;
  return true;
}

function carriedObject(object: object): boolean {
  return typeof (object as Convertible).toJSON === "function"
    ? carriedInstead(object)
    : carriedProperties(object);
}

function carriedProperties(object: object): boolean {
  if (!isPlain(object)) return hasOnlyProperties(object) && carriedOwn(object);
  // Without a list of the names, which takes twice as long; also what someone gave all objects.
  for (const name in object) {
    if (!carried((object as Record<string, unknown>)[name])) return carriedOwn(object);
  }
  return true;
}

function carriedOwn(object: object): boolean {
  for (const name of Object.keys(object)) {
    if (!carried((object as Record<string, unknown>)[name])) return false;
  }
  return true;
}

/** An invalid Date gives null for its text. What is given is not converted again. */
function carriedInstead(object: Convertible): boolean {
  const given = object.toJSON?.();
  if (given === null) return tag(object) !== "Date";
  return typeof given === "object" && !Array.isArray(given)
    ? carriedProperties(given)
    : carried(given);
}

function isPlain(object: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(object);
  return prototype === Object.prototype || prototype === null;
}

function hasOnlyProperties(object: object): boolean {
  return isPlain(object) || tag(object) === "Object";
}

/** Where the first value that is not carried lies, and what it is. */
function locate(value: unknown, path: string): string {
  for (const [step, child] of childrenOf(value)) {
    if (!carried(child)) return locate(child, path + step);
  }
  return `${path} is ${describe(value)}`;
}

function* childrenOf(value: unknown): Generator<[step: string, child: unknown]> {
  if (typeof value !== "object" || value === null) return;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) yield [`[${i}]`, value[i]];
  } else if (typeof (value as Convertible).toJSON !== "function" && hasOnlyProperties(value)) {
    for (const [name, child] of Object.entries(value)) yield [`.${name}`, child];
  }
}

function describe(value: unknown): string {
  if (typeof value === "number" || value === undefined) return String(value);
  if (typeof value !== "object" || value === null) return `a ${typeof value}`;
  return tag(value) === "Date" ? "an invalid Date" : `a ${value.constructor?.name ?? tag(value)}`;
}

function tag(value: object): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}

interface Convertible {
  toJSON?: (key?: string) => unknown;
}
