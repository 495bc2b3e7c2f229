import { parseFieldPath } from "@partd/records";

/** A field as records name it, without the backslashes of the command line: `a\\.b` is the name `a.b`. */
export function shownField(field: string): string {
  return parseFieldPath(field).join(".");
}

/**
 * Names for the columns of a result: the fields of its key, then `made`. A name that is taken gets a `_`, so that
 * no column hides another.
 */
export function resultNames(fields: readonly string[], made: readonly string[]): string[] {
  const taken = new Set<string>();
  return [...fields.map(shownField), ...made].map((name) => {
    let free = name;
    while (taken.has(free)) free += "_";
    taken.add(free);
    return free;
  });
}
