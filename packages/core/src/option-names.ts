import { PartdError } from "./errors.js";

/** Each option's name, so that none is left out: `{ memory: true, dir: true }`. */
export type OptionNames<T> = { readonly [N in keyof Required<T>]: true };

/**
 * @param call the function, as its callers write it: `"sort"`.
 * @throws `ERR_PARTD_VALUE` for options that are not an object, and for one whose name is none of these, with the
 *   nearest. Options that are `undefined` are passed over.
 */
export function checkOptionNames<T>(call: string, options: T, names: OptionNames<T>): void {
  const known = Object.keys(names);
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    const given = typeof options === "string" ? JSON.stringify(options) : String(options);
    throw new PartdError(
      "ERR_PARTD_VALUE",
      `${call}() takes an object of options (${known.join(", ")}), not ${given}.`,
    );
  }
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || Object.hasOwn(names, name)) continue;
    const near = nearest(name, known);
    const hint = near === undefined ? `Its options: ${known.join(", ")}` : `Did you mean ${near}?`;
    throw new PartdError("ERR_PARTD_VALUE", `${call}() has no option ${name}. ${hint}`);
  }
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
