/** `setImmediate` where there is one: it lets more requests gather than a microtask does. */
export const soon: (callback: () => void) => void =
  (globalThis as { setImmediate?: (callback: () => void) => void }).setImmediate ?? queueMicrotask;
