import { PartdError } from "../errors.js";
import { describeArgument } from "../option-names.js";
import type { LowerStore } from "./store.js";

/**
 * @param call what takes the store, as its callers write it: `"new Json"`.
 * @param advice what to do instead with a store of values.
 * @throws `ERR_PARTD_VALUE` unless `store` is a store of bytes.
 */
export function checkByteStore(call: string, store: unknown, advice: string): void {
  const given = store as Partial<LowerStore> | null | undefined;
  if (typeof given?.append !== "function" || typeof given.get !== "function") {
    throw new PartdError(
      "ERR_PARTD_VALUE",
      `${call}() takes a store first, as in ${call}(new Dict()), not ${describeArgument(store)}.`,
    );
  }
  if (given.holdsValues !== true) return;
  const name = given.constructor?.name || "one with a codec";
  throw new PartdError(
    "ERR_PARTD_VALUE",
    `${call}() takes a store of bytes, and ${name} is a store of values: ${advice}.`,
  );
}
