import { checkOptionNames, type OptionNames } from "../option-names.js";
import type {
  AppendOptions,
  EntriesOptions,
  GetOptions,
  IsetOptions,
  KeysOptions,
  OperationOptions,
} from "./store.js";

/**
 * Call this first in each operation of a store that does not extend `BaseStore`.
 *
 * @param operation as its callers write it: `"get"`, or one of the store's own, such as `"compact"`.
 * @param names what it takes. Default: what the operation of this name takes in every store.
 * @throws `ERR_PARTD_VALUE` if `options` is not an object, or has an option that is not among them; the
 *   message suggests the nearest. Every operation takes those for authors too, and may ignore them: a
 *   decorator passes its options on, also to another operation than its own.
 */
export function checkOperation<T extends OperationOptions>(
  operation: string,
  options: T,
  names: OptionNames<T> = namesOf(operation) as OptionNames<T>,
): void {
  if (typeof options !== "object" || options === null) checkOptionNames(operation, options, names);
  // Not `Object.entries`: with a signal that takes 70 ns, and this 5.
  for (const name in options) {
    if (Object.hasOwn(names, name) || Object.hasOwn(FOR_AUTHORS, name)) continue;
    const { allocate, owned, replace, ...rest } = options as T & ForAuthors;
    checkOptionNames(operation, rest as unknown as T, names);
    return;
  }
}

type ForAuthors = Partial<Omit<GetOptions & AppendOptions & IsetOptions, "signal">>;

const FOR_AUTHORS: OptionNames<ForAuthors> = { allocate: true, owned: true, replace: true };
const ALL: OptionNames<OperationOptions> = { signal: true };
const KEYS: OptionNames<KeysOptions> = { ...ALL, prefix: true, sorted: true };
const ENTRIES: OptionNames<EntriesOptions> = { ...KEYS, longest: true };

function namesOf(operation: string): OptionNames<OperationOptions> {
  if (operation === "keys") return KEYS;
  return operation === "entries" ? ENTRIES : ALL;
}
