import { PartdError } from "./errors.js";

/**
 * The name of each option, complete by type, with the type or values that {@link takeOptions}
 * checks: `{ memory: true, fsync: "boolean", order: ["asc", "desc"] }`. `true` stands for no check.
 */
export type OptionNames<T> = { readonly [N in keyof Required<T>]: OptionType };

type OptionType = true | keyof typeof TYPES | readonly (string | number)[];

/**
 * @param call the function, as its callers write it: `"sort"`.
 * @throws `ERR_PARTD_VALUE` if `options` is not an object, or has an option with none of these
 *   names; the message suggests the nearest. An option that is `undefined` is ignored.
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
 * Checks and copies the options of a constructor.
 *
 * @param call as for {@link checkOptionNames}: `"new FileStore"`.
 * @param isSubclass `new.target !== FileStore`: a subclass may pass its own options along with
 *   these. They are not checked or copied.
 * @throws `ERR_PARTD_VALUE` as {@link checkOptionNames} does, and for an option of another type or
 *   value.
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

/** Describes a wrong argument in a message, briefly whatever it is. */
export function describeArgument(value: unknown): string {
  if (typeof value === "string") {
    return JSON.stringify(value.length > 100 ? `${value.slice(0, 100)}…` : value);
  }
  if (typeof value === "function") return `the function ${value.name || "without a name"}`;
  if (typeof value !== "object" || value === null) return String(value);
  const name = (value.constructor as { readonly name?: unknown } | undefined)?.name;
  const isOfClass = typeof name === "string" && name !== "" && name !== "Object";
  return isOfClass ? `an object of ${name}` : "an object";
}

function checkObject(call: string, options: unknown, known: readonly string[]): void {
  if (typeof options === "object" && options !== null && !Array.isArray(options)) return;
  throw new PartdError(
    "ERR_PARTD_VALUE",
    `${call}() takes an object of options (${known.join(", ")}), not ${describeArgument(options)}.`,
  );
}

/**
 * The name among `names` that `typed` was most likely meant to be: the one fewest edits away, if no
 * more than two in five characters differ. A tie goes to the name with the same beginning. If no
 * name is near, the first that contains `typed` or is a prefix of it.
 */
export function nearest(typed: string, names: Iterable<string>): string | undefined {
  const wanted = typed.toLowerCase();
  let best: string | undefined;
  // A name of one letter is never taken for a misspelling of another.
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

/**
 * The optimal string alignment distance: edits between two texts, where swapping neighbours is one.
 */
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
