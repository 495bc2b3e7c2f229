import { Output } from "../run/output.js";

/** Keys with their results, in no order. */
export class Entries<K, V> extends Output<readonly [K, V]> {
  /** Collects all entries, which have to fit in memory. */
  async toMap(): Promise<Map<K, V>> {
    const map = new Map<K, V>();
    for await (const batch of this.batches()) for (const [key, value] of batch) map.set(key, value);
    return map;
  }
}
