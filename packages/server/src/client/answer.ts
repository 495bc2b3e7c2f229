import { concatBytes } from "@partd/core/author";
import { type MessageReader, malformed } from "../protocol/message-reader.js";
import type { Answer } from "./request.js";

/** An answer that the caller awaits as a whole. */
abstract class WholeAnswer<T> {
  readonly awaited = true;
  readonly promise: Promise<T>;
  protected resolve!: (value: T) => void;
  protected reject!: (error: unknown) => void;

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }
}

/** The answer to a request without a result. */
export class Acknowledged extends WholeAnswer<void> implements Answer {
  data(reader: MessageReader): void {
    if (reader.left > 0) throw malformed("an answer has values that were not asked for");
  }

  done(): void {
    this.resolve();
  }

  failed(error: unknown): void {
    this.reject(error);
  }

  restart(): boolean {
    return true;
  }
}

/** The answer to GET and POP: one value for each key. */
export class ValuesAnswer extends WholeAnswer<Uint8Array[]> implements Answer {
  readonly #count: number;
  #values: Uint8Array[] = [];
  /** The pieces so far of a value whose last piece has not come. */
  #pieces: Uint8Array[] = [];

  constructor(count: number) {
    super();
    this.#count = count;
  }

  data(reader: MessageReader): void {
    while (reader.left > 0) {
      const head = reader.varint();
      // A view: the message holds little besides this answer, so it keeps nothing else alive.
      const piece = reader.take(Math.floor(head / 2));
      if (head % 2 === 1) {
        this.#pieces.push(piece);
      } else if (this.#pieces.length > 0) {
        this.#pieces.push(piece);
        this.#values.push(concatBytes(this.#pieces));
        this.#pieces = [];
      } else {
        this.#values.push(piece);
      }
    }
    if (this.#values.length > this.#count) throw malformed("more values than were asked for");
  }

  done(): void {
    if (this.#values.length !== this.#count || this.#pieces.length > 0) {
      throw malformed("fewer values than were asked for");
    }
    this.resolve(this.#values);
  }

  failed(error: unknown): void {
    this.#values = [];
    this.#pieces = [];
    this.reject(error);
  }

  restart(): boolean {
    this.#values = [];
    this.#pieces = [];
    return true;
  }
}

/** The answer to SIZES and COUNT: one number for each key, or one. */
export class NumbersAnswer extends WholeAnswer<readonly number[]> implements Answer {
  readonly #count: number;
  #numbers: number[] = [];

  constructor(count: number) {
    super();
    this.#count = count;
  }

  data(reader: MessageReader): void {
    while (reader.left > 0) {
      const head = reader.varint();
      const { left } = reader;
      this.#numbers.push(reader.varint());
      if (head !== 2 * (left - reader.left)) throw malformed("a number does not fill its string");
      if (this.#numbers.length > this.#count) throw malformed("more numbers than were asked for");
    }
  }

  done(): void {
    if (this.#numbers.length < this.#count) throw malformed("fewer numbers than were asked for");
    this.resolve(this.#numbers);
  }

  failed(error: unknown): void {
    this.reject(error);
  }

  restart(): boolean {
    this.#numbers = [];
    return true;
  }
}

/** The answer to STREAM and KEYS: pieces, which the consumer takes one at a time. */
export class PiecesAnswer implements Answer {
  readonly awaited = false;
  #pieces: Uint8Array[] = [];
  #next = 0;
  #over = false;
  #error: { readonly reason: unknown } | undefined;
  #begun = false;
  #wake: (() => void) | undefined;

  data(reader: MessageReader): void {
    while (reader.left > 0) {
      const head = reader.varint();
      const byteLength = Math.floor(head / 2);
      // A view, which keeps its message alive until the consumer drops it.
      const piece = reader.take(byteLength);
      if (byteLength > 0) this.#pieces.push(piece);
    }
    this.#wake?.();
  }

  done(): void {
    this.#over = true;
    this.#wake?.();
  }

  failed(reason: unknown): void {
    this.#error ??= { reason };
    this.#wake?.();
  }

  /** Not possible once the consumer has received a piece. */
  restart(): boolean {
    if (this.#begun) return false;
    this.#pieces = [];
    this.#next = 0;
    return true;
  }

  /** The next piece; `undefined` at the end. */
  async next(): Promise<Uint8Array | undefined> {
    for (;;) {
      if (this.#error) throw this.#error.reason;
      if (this.#next < this.#pieces.length) {
        const piece = this.#pieces[this.#next++] as Uint8Array;
        if (this.#next === this.#pieces.length) {
          this.#pieces = [];
          this.#next = 0;
        }
        this.#begun = true;
        return piece;
      }
      if (this.#over) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }
}
