import { PartdError } from "./errors.js";

/**
 * Each option's name, so that none is left out, and its type or values where {@link takeOptions} is
 * to see to them: `{ memory: true, fsync: "boolean", order: ["asc", "desc"] }`.
 */
export type OptionNames<T> = { readonly [N in keyof Required<T>]: OptionType };

type OptionType = true | keyof typeof TYPES | readonly (string | number)[];

/**
 * @param call the function, as its callers write it: `"sort"`.
 * @throws `ERR_PARTD_VALUE` for options that are not an object, and for one whose name is none of these, with the
 *   nearest. Options that are `undefined` are passed over.
 */
export function checkOptionNames<T>(call: string, options: T, names: OptionNames<T>): void {
  const known = Object.keys(names);
  checkObject(call, options, known);
  for (const [name, value] of Object.entries(options as object)) {
    if (value === undefined || Object.hasOwn(names, name)) continue;
    const near = nearest(name, known);
    const hint = near === undefined ? `Its options: ${known.join(", ")}` : `Did you mean ${near}?`;
    throw new PartdError("ERR_PARTD_VALUE", `${call}() has no option ${name}. ${hint}`);
  }
}

/**
 * The options of a constructor, as they stand now.
 *
 * @param call as for {@link checkOptionNames}: `"new FileStore"`.
 * @param isSubclass whether there may be other options, which a subclass passes on with these:
 *   `new.target !== FileStore`. They are left out.
 * @throws `ERR_PARTD_VALUE` as {@link checkOptionNames} does, and for an option of another type or value.
 */
export function takeOptions<T extends object>(
  call: string,
  options: T,
  names: OptionNames<T>,
  isSubclass = false,
): T {
  if (isSubclass) checkObject(call, options, Object.keys(names));
  else checkOptionNames(call, options, names);
  const taken: Partial<T> = {};
  for (const name of Object.keys(names) as (keyof T & string)[]) {
    const value = options[name];
    if (value === undefined) continue;
    const type: OptionType = names[name];
    if (type !== true && !isOfType(value, type)) {
      const allowed =
        typeof type === "string"
          ? TYPES[type]
          : type.map((one) => JSON.stringify(one)).join(" or ");
      throw new PartdError(
        "ERR_PARTD_VALUE",
        `${name} must be ${allowed}, not ${describeArgument(value)}.`,
      );
    }
    taken[name] = value;
  }
  return taken as T;
}

const TYPES = {
  boolean: "true or false",
  string: "a string",
  strings: "a list of strings",
  function: "a function",
  object: "an object",
} as const;

function isOfType(value: unknown, type: Exclude<OptionType, true>): boolean {
  if (typeof type !== "string") return type.includes(value as never);
  if (type === "strings") {
    return Array.isArray(value) && value.every((item) => typeof item === "string");
  }
  return typeof value === type && value !== null;
}

/** An argument that will not do, for a message: short, whatever it is. */
export function describeArgument(value: unknown): string {
  if (typeof value === "string") {
    return JSON.stringify(value.length > 100 ? `${value.slice(0, 100)}…` : value);
  }
  if (typeof value === "function") return `the function ${value.name || "without a name"}`;
  if (typeof value !== "object" || value === null) return String(value);
  const name = (value.constructor as { readonly name?: unknown } | undefined)?.name;
  return typeof name === "string" && name !== "" ? `an object of ${name}` : "an object";
}

function checkObject(call: string, options: unknown, known: readonly string[]): void {
  if (typeof options === "object" && options !== null && !Array.isArray(options)) return;
  throw new PartdError(
    "ERR_PARTD_VALUE",
    `${call}() takes an object of options (${known.join(", ")}), not ${describeArgument(options)}.`,
  );
}

/**
 * The name among `names` that `typed` was most likely meant to be: the one fewest edits away, and
 * none where more than two in five characters would have to change. Of two as near the one that
 * begins alike; where none is near, the first that holds what was typed, or begins it.
 */
export function nearest(typed: string, names: Iterable<string>): string | undefined {
  const wanted = typed.toLowerCase();
  let best: string | undefined;
  // Of a name of one letter, no other one is a slip of the hand.
  let fewest = Math.min(wanted.length, Math.max(1, Math.floor(wanted.length * 0.4)) + 1);
  for (const name of names) {
    if (Math.abs(name.length - wanted.length) > fewest) continue;
    const begins = name[0]?.toLowerCase() === wanted[0];
    const edits = distance(wanted, name.toLowerCase()) - (begins ? 0.5 : 0);
    if (edits < fewest) {
      best = name;
      fewest = edits;
    }
  }
  return best ?? (wanted.length < 3 ? undefined : first(names, wanted));
}

function first(names: Iterable<string>, part: string): string | undefined {
  for (const name of names) {
    const known = name.toLowerCase();
    if (known.includes(part) || (known.length > 2 && part.startsWith(known))) return name;
  }
  return undefined;
}

/** Edits between two texts, where swapping neighbours is one (optimal string alignment). */
function distance(a: string, b: string): number {
  let older: number[] = [];
  let old = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let edits = Math.min(at(old, j) + 1, at(row, j - 1) + 1, at(old, j - 1) + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        edits = Math.min(edits, at(older, j - 2) + 1);
      }
      row.push(edits);
    }
    older = old;
    old = row;
  }
  return at(old, b.length);
}

function at(row: readonly number[], index: number): number {
  return row[index] as number;
}
