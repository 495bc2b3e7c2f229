import { constants } from "node:os";

type Lockfile = typeof import("proper-lockfile");

let loading: Promise<Lockfile> | undefined;

/** `proper-lockfile`, loaded when it is first used: it listens to the process's signals from then on. */
export function lockfile(): Promise<Lockfile> {
  loading ??= load();
  return loading;
}

/**
 * At a signal it ends the process if no one else listens. A listener of `process.once` that was
 * there before would be off the list by the time it looks, so it has to look first.
 */
async function load(): Promise<Lockfile> {
  const before = new Set(signalListeners().map(([, listener]) => listener));
  const module = await import("proper-lockfile");
  for (const [signal, listener] of signalListeners()) {
    if (before.has(listener)) continue;
    process.removeListener(signal, listener);
    process.prependListener(signal, listener);
  }
  return module.default ?? module;
}

function signalListeners(): [NodeJS.Signals, NodeJS.SignalsListener][] {
  return (Object.keys(constants.signals) as NodeJS.Signals[]).flatMap((signal) =>
    process
      .rawListeners(signal)
      .map((listener): [NodeJS.Signals, NodeJS.SignalsListener] => [
        signal,
        listener as NodeJS.SignalsListener,
      ]),
  );
}
