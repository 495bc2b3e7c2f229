// What a pickle's opcodes work on: a stack with marks, and a memo.

/** A pickle's stack, in which marks separate groups of values. */
export class MarkedStack {
  /** Those from {@link height} on were removed, and are there until others are pushed. */
  readonly #values: unknown[] = [];
  #height = 0;
  /** Heights of the marks. */
  readonly #marks: number[] = [];
  /** Height of the last mark. Values below it cannot be popped. */
  #floor = 0;

  /** Values in the stack, also below marks. */
  get height(): number {
    return this.#height;
  }

  /** Values above the last mark. */
  get length(): number {
    return this.#height - this.#floor;
  }

  push(value: unknown): void {
    this.#values[this.#height++] = value;
  }

  pop(): unknown {
    return this.#values[this.drop(1)];
  }

  top(): unknown {
    this.#need(1);
    return this.#values[this.#height - 1];
  }

  replaceTop(value: unknown): void {
    this.#need(1);
    this.#values[this.#height - 1] = value;
  }

  popMany(count: number): unknown[] {
    const start = this.drop(count);
    return this.#values.slice(start, start + count);
  }

  mark(): void {
    this.#floor = this.#height;
    this.#marks.push(this.#floor);
  }

  /** Removes the last mark and the values above it, and returns these. */
  popMark(): unknown[] {
    const end = this.#height;
    return this.#values.slice(this.dropMark(), end);
  }

  /**
   * Removes values, and returns the height of the first. {@link at} gives them until others are pushed: a
   * list of them for each dict would be a tenth of the work.
   */
  drop(count: number): number {
    this.#need(count);
    this.#height -= count;
    return this.#height;
  }

  /** Removes the last mark and the values above it, as {@link drop} does. */
  dropMark(): number {
    const mark = this.#marks.pop();
    if (mark === undefined) throw underflow();
    this.#floor = this.#marks[this.#marks.length - 1] ?? 0;
    this.#height = mark;
    return mark;
  }

  /** The value at a height. */
  at(height: number): unknown {
    return this.#values[height];
  }

  #need(count: number): void {
    if (this.#height - count < this.#floor) throw underflow();
  }
}

function underflow(): Error {
  return new Error("it takes more from its stack than there is.");
}

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
