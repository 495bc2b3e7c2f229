/** A pickle's stack, in which marks separate groups of values. */
export class MarkedStack {
  readonly #values: unknown[] = [];
  /** Heights of the marks. */
  readonly #marks: number[] = [];
  /** Height of the last mark. Values below it cannot be popped. */
  #floor = 0;

  /** Values above the last mark. */
  get length(): number {
    return this.#values.length - this.#floor;
  }

  /** Whether the stack holds no value, also below marks. */
  get empty(): boolean {
    return this.#values.length === 0;
  }

  push(value: unknown): void {
    this.#values.push(value);
  }

  pop(): unknown {
    this.#need(1);
    return this.#values.pop();
  }

  top(): unknown {
    this.#need(1);
    return this.#values[this.#values.length - 1];
  }

  replaceTop(value: unknown): void {
    this.#need(1);
    this.#values[this.#values.length - 1] = value;
  }

  popMany(count: number): unknown[] {
    this.#need(count);
    return this.#values.splice(this.#values.length - count, count);
  }

  mark(): void {
    this.#floor = this.#values.length;
    this.#marks.push(this.#floor);
  }

  /** Removes the last mark and the values above it, and returns these. */
  popMark(): unknown[] {
    const mark = this.#marks.pop();
    if (mark === undefined) throw underflow();
    this.#floor = this.#marks[this.#marks.length - 1] ?? 0;
    return this.#values.splice(mark);
  }

  #need(count: number): void {
    if (this.#values.length - count < this.#floor) throw underflow();
  }
}

function underflow(): Error {
  return new Error("it takes more from its stack than there is.");
}
