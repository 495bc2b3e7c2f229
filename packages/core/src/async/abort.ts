/**
 * Calls `listener` once when `signal` is aborted, unless the function that this answers is called
 * before. All listeners of a signal share one registration: a signal that is passed to many calls
 * would look each one up in a list of all, and warn of a leak at the eleventh.
 *
 * @param signal not aborted yet: nothing is called for what is past.
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
  promise.catch(() => {}); // It may fail when no one waits for it any more.
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
