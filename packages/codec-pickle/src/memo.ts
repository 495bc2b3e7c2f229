/** A pickle's memo: values that it refers to again, by index. */
export class Memo {
  readonly #values: unknown[] = [];
  #length = 0;
  /** Objects that became another: Maps, at a key that is not a string, and results of BUILD. */
  readonly #replaced = new Map<unknown, unknown>();
  /** Whether a value may be in several places. */
  #shared = false;

  /** How many values it holds, which is the next index of MEMOIZE. */
  get length(): number {
    return this.#length;
  }

  put(index: number, value: unknown): void {
    if (this.#values[index] === undefined) this.#length++;
    this.#values[index] = value;
  }

  get(index: number): unknown {
    const value = this.#values[index];
    if (value === undefined) throw new Error("it refers to what is not there.");
    if (typeof value === "object" && value !== null) this.#shared = true;
    return this.current(value);
  }

  /** The value as it was put there, if there is one. */
  at(index: number): unknown {
    return this.#values[index];
  }

  /** Notes that a value is in several places. */
  share(): void {
    this.#shared = true;
  }

  /** Notes that an object became another. */
  replace(object: unknown, by: unknown): void {
    this.#replaced.set(object, by);
  }

  /** What the value became. */
  current(value: unknown): unknown {
    return this.#replaced.size > 0 ? (this.#replaced.get(value) ?? value) : value;
  }

  /**
   * Replaces the objects that became another everywhere in `root`. Needed only if a pickle refers to a
   * dict, as one that contains itself does, before a key turns it into a `Map`.
   */
  finish(root: unknown): unknown {
    if (this.#replaced.size === 0 || !this.#shared) return root;
    const current = (value: unknown) => this.#replaced.get(value) ?? value;
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
        continue;
      }
      if (value instanceof Map) {
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
      } else if (ArrayBuffer.isView(value)) continue;
      // Of a dict, and of a value that holds others, such as a slice or an array of objects.
      for (const [name, item] of Object.entries(value)) {
        const now = current(item);
        if (now !== item) (value as Record<string, unknown>)[name] = now;
        waiting.push(now);
      }
    }
    return current(root);
  }
}
