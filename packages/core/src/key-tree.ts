import { encodeKey, type Key, type KeyTree } from "./keys.js";
import type { Values } from "./store.js";

/** The keys of a tree, left to right, encoded. */
export function flattenKeys(tree: KeyTree): string[] {
  const keys: string[] = [];
  visit(tree);
  return keys;

  function visit(node: KeyTree): void {
    if (Array.isArray(node)) for (const child of node) visit(child);
    else keys.push(encodeKey(node as Key));
  }
}

/** The same lists, so that what the caller does to theirs while we wait changes no answer. */
export function copyTree<const K extends KeyTree>(tree: K): K {
  return copy(tree) as K;

  function copy(node: unknown): unknown {
    return Array.isArray(node) ? node.map(copy) : node;
  }
}

/** `values` in the shape of `tree`: the inverse of {@link flattenKeys}. */
export function nestValues<K, V>(tree: K, values: readonly V[]): Values<K, V> {
  let next = 0;
  return build(tree) as Values<K, V>;

  function build(node: unknown): unknown {
    return Array.isArray(node) ? node.map(build) : values[next++];
  }
}
