import { PartdError } from "../errors.js";
import { describeArgument } from "../option-names.js";

/**
 * Runs `critical`, the function given to the store's `withLock`, and marks everything it calls,
 * also asynchronously, as holding the store's lock. A call on a store inside its own `withLock`
 * would wait for itself for ever: {@link checkNotHeld} refuses it by that mark, while other callers
 * wait.
 *
 * This needs Node's AsyncLocalStorage (20.16 and later, 22.3 and later, Bun, Deno). Elsewhere
 * nothing is marked, and such a call waits for ever.
 */
export function runHolding<T>(store: object, critical: () => T): T {
  storage ??= makeStorage();
  if (!storage) return critical();
  // Disable the storage after use: while enabled it slows each promise, an append to a Dict by
  // half.
  const release = () => {
    held.isOver = true;
    if (--depth === 0) storage?.disable();
  };
  depth++;
  const held = { store, isOver: false };
  let result: T;
  try {
    result = storage.run([...(storage.getStore() ?? []), held], critical);
  } catch (error) {
    release();
    throw error;
  }
  if (!isThenable(result)) {
    release();
    return result;
  }
  return (result as PromiseLike<unknown>).then(
    (value) => {
      release();
      return value;
    },
    (error: unknown) => {
      release();
      throw error;
    },
  ) as T;
}

/**
 * @throws `ERR_PARTD_LOCK` if the running code is inside `store.withLock`. The check costs nothing
 *   while no lock is held.
 */
export function checkNotHeld(store: object): void {
  if (depth === 0) return;
  // Work that `critical` left running no longer holds the lock once `critical` has ended.
  if (!storage?.getStore()?.some((held) => held.store === store && !held.isOver)) return;
  throw new PartdError(
    "ERR_PARTD_LOCK",
    "This store was called inside its own withLock, and would wait for itself: use the store that is passed to the function.",
  );
}

/** @throws `ERR_PARTD_VALUE` unless `withLock` was given a function. */
export function checkCritical(critical: unknown): void {
  if (typeof critical === "function") return;
  throw new PartdError(
    "ERR_PARTD_VALUE",
    `withLock takes a function, as in withLock((held) => held.get("x")), not ${describeArgument(critical)}.`,
  );
}

/** A critical section of a store. */
interface Held {
  readonly store: object;
  isOver: boolean;
}

/** How many critical sections are running, of all stores. */
let depth = 0;
let storage: Storage | undefined;

/** The part of AsyncLocalStorage that is used here: core does without the types of Node. */
interface Storage {
  run<T>(held: readonly Held[], callback: () => T): T;
  getStore(): readonly Held[] | undefined;
  disable(): void;
}

function makeStorage(): Storage | undefined {
  const { process } = globalThis as {
    process?: { getBuiltinModule?(name: string): { AsyncLocalStorage: new () => Storage } };
  };
  const hooks = process?.getBuiltinModule?.("node:async_hooks");
  return hooks && new hooks.AsyncLocalStorage();
}

function isThenable(value: unknown): boolean {
  return typeof (value as PromiseLike<unknown> | undefined)?.then === "function";
}
