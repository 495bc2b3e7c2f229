import { PartdError } from "../errors.js";
import type { Values } from "../store/store.js";
import { encodeKey, type Key, type KeyTree } from "./keys.js";

/**
 * Lists the encoded keys of a tree, left to right.
 *
 * @throws `ERR_PARTD_KEY` for what is not a key, and for lists nested 1,000 deep or inside
 *   themselves.
 */
export function flattenKeys(tree: KeyTree): string[] {
  return listKeys(tree).map(encodeKey);
}

/** The same keys, not encoded. */
export function listKeys(tree: KeyTree): Key[] {
  const keys: Key[] = [];
  visit(tree, 0);
  return keys;

  function visit(node: KeyTree, depth: number): void {
    if (!Array.isArray(node)) {
      keys.push(node as Key);
      return;
    }
    if (depth === MAX_DEPTH) {
      throw new PartdError(
        "ERR_PARTD_KEY",
        `Lists of keys may be nested ${MAX_DEPTH} deep, and these go deeper or hold themselves.`,
      );
    }
    for (const child of node) visit(child, depth + 1);
  }
}

const MAX_DEPTH = 1_000;

/** Copies the lists, so that a caller who changes them during a call does not change its answer. */
export function copyTree<const K extends KeyTree>(tree: K): K {
  return copy(tree) as K;

  function copy(node: unknown): unknown {
    return Array.isArray(node) ? node.map(copy) : node;
  }
}

/** Gives `values` the shape of `tree`: the inverse of {@link flattenKeys}. */
export function nestValues<K, V>(tree: K, values: readonly V[]): Values<K, V> {
  let next = 0;
  return build(tree) as Values<K, V>;

  function build(node: unknown): unknown {
    return Array.isArray(node) ? node.map(build) : values[next++];
  }
}
