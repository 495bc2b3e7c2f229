import { parseFieldPath } from "@partd/records";
import type { RecordSource } from "./record-source.js";
import type { RecordShape } from "./record-writer.js";

/** The name of a field, without the backslashes of the command line: `a\\.b` is the name `a.b`. */
export function shownField(field: string): string {
  return parseFieldPath(field).join(".");
}

/**
 * Names for the columns of a result: the fields of its key, then `made`. A name that is taken gets a
 * `_`, so that no column hides another.
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

/**
 * The shape of results with the columns `names`. Only the key's columns, which come first, may have
 * types from the source.
 */
export function resultShape(
  source: RecordSource,
  fields: readonly string[],
  names: readonly string[],
): RecordShape {
  const { writtenAs, delimiter, values } = source;
  return {
    writtenAs,
    delimiter,
    values,
    format: { header: undefined },
    get columns() {
      return names.map((name, i) => {
        const field = fields[i] === undefined ? undefined : shownField(fields[i]);
        return { name, type: source.columns.find((column) => column.name === field)?.type };
      });
    },
  };
}
