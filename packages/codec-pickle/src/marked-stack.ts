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
