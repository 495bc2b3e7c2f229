import { PartdError } from "../errors.js";
import { describeArgument } from "../option-names.js";
import type { OperationOptions } from "../store/store.js";

/**
 * @throws the reason of `options.signal` if it is aborted; `ERR_PARTD_VALUE` if it is not a signal.
 */
export function checkOptions({ signal }: OperationOptions): void {
  if (signal && typeof signal.throwIfAborted !== "function") {
    throw new PartdError(
      "ERR_PARTD_VALUE",
      `signal must be an AbortSignal, such as new AbortController().signal, not ${describeArgument(signal)}.`,
    );
  }
  signal?.throwIfAborted();
}

/**
 * Calls `listener` once when `signal` is aborted, unless the returned function is called before.
 * All listeners of a signal share one registration, because an `EventTarget` searches its list at
 * each addition, and Node warns of a leak at the eleventh.
 *
 * @param signal not aborted yet: an abort in the past does not call the listener.
 */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  let listeners = waiting.get(signal);
  if (!listeners) {
    const all = new Set<() => void>();
    listeners = all;
    waiting.set(signal, all);
    signal.addEventListener(
      "abort",
      () => {
        waiting.delete(signal);
        for (const call of all) call();
      },
      { once: true },
    );
  }
  const registered = listeners;
  registered.add(listener);
  return () => registered.delete(listener);
}

const waiting = new WeakMap<AbortSignal, Set<() => void>>();

/** Waits for `promise`, which goes on all the same if the signal is aborted first. */
export async function unlessAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  if (!signal) return promise;
  promise.catch(() => {}); // It may fail after the caller has given up.
  signal.throwIfAborted();
  let forget = () => {};
  const aborted = new Promise<never>((_, reject) => {
    forget = onAbort(signal, () => reject(signal.reason));
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    forget();
  }
}
