import { PartdError } from "@partd/core";
import { valueAt } from "@partd/records";

/**
 * The key of a record: the name of a field, where dots lead into objects (`"user.id"`); several names,
 * for a key that is a list; or a function.
 */
export type By<R> =
  | (keyof R & string)
  | (string & {})
  | readonly string[]
  | ((record: R) => unknown);

/** The type of the keys that `by` gives. */
export type KeyOf<R, B> = B extends (record: never) => infer K
  ? K
  : B extends keyof R
    ? R[B]
    : B extends readonly [string]
      ? KeyOf<R, B[0]>
      : B extends readonly string[]
        ? { -readonly [I in keyof B]: KeyOf<R, B[I]> }
        : B extends `${infer Head}.${infer Rest}`
          ? Head extends keyof R
            ? KeyOf<R[Head], Rest>
            : unknown
          : unknown;

/** The fields of `by`, unless it is a function. */
export function fieldsOf<R>(by: By<R>): readonly string[] | undefined {
  if (typeof by === "function") return undefined;
  const fields = typeof by === "string" ? [by] : by;
  if (Array.isArray(fields) && fields.length > 0 && fields.every((f) => typeof f === "string")) {
    return fields as string[];
  }
  throw new PartdError(
    "ERR_PARTD_VALUE",
    "by is the name of a field, a list of names, or a function that gives a record's key.",
  );
}

export function keyFunction<R>(by: By<R>): (record: R) => unknown {
  if (typeof by === "function") return by;
  const fields = fieldsOf(by)!;
  const [only] = fields;
  if (fields.length === 1) return (record) => valueAt(record, only!);
  return (record) => fields.map((field) => valueAt(record, field));
}
