import { PartdError } from "@partd/core";

/**
 * The names along a path: `user.id` is `["user", "id"]`, and `a\.b` is the one name `a.b`. A
 * backslash before any other character stands for itself.
 *
 * @throws `ERR_PARTD_VALUE` if the path is not a string.
 */
export function parseFieldPath(path: string): readonly string[] {
  if (typeof path !== "string") {
    throw new PartdError("ERR_PARTD_VALUE", `A field is named by text, not by a ${typeof path}.`);
  }
  if (!path.includes(".")) return [path];
  return path.split(/(?<!\\)\./).map((name) => name.replaceAll("\\.", "."));
}

/**
 * The value of a record's field, found as scanners find it: dots lead into objects, not into lists.
 * `undefined` if there is none.
 */
export function valueAt(record: unknown, path: string): unknown {
  if (!path.includes(".")) return fieldOf(record, path);
  return parseFieldPath(path).reduce(fieldOf, record);
}

function fieldOf(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  // Plain data has no field `constructor`, but an instance of a class may have fields on its
  // prototype.
  const prototype = Object.getPrototypeOf(value);
  const isPlain = prototype === Object.prototype || prototype === null;
  if (isPlain && !Object.hasOwn(value, name)) return undefined;
  return (value as { [name: string]: unknown })[name];
}
