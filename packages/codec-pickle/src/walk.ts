import { PyDefaultDict } from "./python/collections.js";
import { PyDtype, PyNdArray } from "./python/numpy.js";
import { PyGlobal, PyObject } from "./python/object.js";

/**
 * Finds a class or function in the data itself; those that are an object's arguments do not count.
 */
export function findGlobal(root: unknown): PyGlobal | undefined {
  const seen = new Set<unknown>();
  const waiting = [root];
  while (waiting.length > 0) {
    const value = waiting.pop();
    if (value instanceof PyGlobal) return value;
    if (typeof value !== "object" || value === null || seen.has(value)) continue;
    if (value instanceof PyObject || value instanceof PyDtype || ArrayBuffer.isView(value))
      continue;
    seen.add(value);
    if (Array.isArray(value) || value instanceof Set) for (const item of value) waiting.push(item);
    else if (value instanceof Map) {
      for (const [key, item] of value) waiting.push(key, item);
      // The factory is an argument.
      if (value instanceof PyDefaultDict && !(value.factory instanceof PyGlobal)) {
        waiting.push(value.factory);
      }
    } else if (value instanceof PyNdArray) waiting.push(value.data);
    else for (const item of Object.values(value)) waiting.push(item);
  }
  return undefined;
}

/**
 * Replaces old values by new ones everywhere in `root`. Needed only if a pickle refers to a dict,
 * as one that contains itself does, before a key turns it into a `Map`.
 */
export function replaceAll(root: unknown, replaced: ReadonlyMap<unknown, unknown>): unknown {
  const current = (value: unknown) => replaced.get(value) ?? value;
  const seen = new Set<unknown>();
  const waiting = [current(root)];
  while (waiting.length > 0) {
    const value = waiting.pop();
    if (typeof value !== "object" || value === null || seen.has(value)) continue;
    seen.add(value);
    if (Array.isArray(value)) {
      for (let i = 0; i < value.length; i++) {
        value[i] = current(value[i]);
        waiting.push(value[i]);
      }
    } else if (value instanceof Map) {
      const entries = [...value].map(([key, item]) => [current(key), current(item)] as const);
      value.clear();
      for (const [key, item] of entries) {
        value.set(key, item);
        waiting.push(key, item);
      }
    } else if (value instanceof Set) {
      const items = [...value].map(current);
      value.clear();
      for (const item of items) {
        value.add(item);
        waiting.push(item);
      }
    } else if (Object.getPrototypeOf(value) === Object.prototype) {
      for (const [key, item] of Object.entries(value)) {
        const now = current(item);
        if (now !== item) (value as Record<string, unknown>)[key] = now;
        waiting.push(now);
      }
    }
  }
  return current(root);
}
