import { unlessAborted } from "../async/abort.js";
import { Pace } from "../async/pace.js";
import type { Frame } from "./frame.js";

/**
 * Yields the values of frames in order, and decodes up to `concurrency` of them ahead of the one
 * being awaited. A synchronous decoder never runs ahead, which would only hold memory.
 *
 * An error comes after the values before it. If the consumer leaves early, `return()` waits for a
 * frame that is being read, and no more are read; the results of running decoders are ignored.
 */
export async function* decodeAhead<V>(
  open: () => AsyncGenerator<Frame, void, undefined>,
  decode: (framed: Frame) => V | Promise<V>,
  concurrency: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<V, void, undefined> {
  const frames = open();
  const ahead: Ahead<V>[] = [];
  let bytes = 0;
  let reading: FrameRead | undefined;
  let over = false;
  const pace = new Pace();
  try {
    for (;;) {
      const head = ahead[0];
      if (head === undefined && reading === undefined) {
        if (over) return;
        const next = await frames.next();
        if (next.done) return;
        const decoded = decode(next.value);
        if (isPromise(decoded)) start(decoded, next.value.bytes.byteLength);
        else yield decoded;
      } else if (reading?.next) {
        const { next } = reading;
        reading = undefined;
        over = next instanceof Failure || next.done === true;
        if (next instanceof Failure) start(Promise.reject(next.error), 0);
        else if (!next.done) start(begin(next.value), next.value.bytes.byteLength);
      } else {
        if (!over && !reading && ahead.length < concurrency && bytes < MAX_AHEAD_BYTES) {
          reading = new FrameRead(frames);
        }
        if (head?.settled || !reading) {
          const { decoded, byteLength } = ahead.shift() as Ahead<V>;
          const value = await unlessAborted(decoded, signal);
          bytes -= byteLength;
          yield value;
        } else {
          await unlessAborted(
            head ? Promise.race([reading.done, head.done]) : reading.done,
            signal,
          );
        }
      }
      if (pace.isOver) await pace.rest();
      signal?.throwIfAborted();
    }
  } finally {
    await frames.return();
  }

  function start(decoded: Promise<V>, byteLength: number): void {
    ahead.push(new Ahead(decoded, byteLength));
    bytes += byteLength;
  }

  /** Async, so that the error of a bad frame is raised in its turn. */
  async function begin(framed: Frame): Promise<V> {
    return decode(framed);
  }
}

/** Not `instanceof`: a native module's promise may be of another realm. */
export function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return (
    typeof value === "object" && value !== null && typeof (value as Promise<T>).then === "function"
  );
}

/**
 * While more encoded bytes than these are ahead, no further frame is read. One frame may be larger.
 */
const MAX_AHEAD_BYTES = 4 * 2 ** 20;

/** A value that is being decoded. */
class Ahead<V> {
  readonly decoded: Promise<V>;
  readonly byteLength: number;
  /** Resolves when the value is decoded, or cannot be. */
  readonly done: Promise<void>;
  settled = false;

  constructor(decoded: Promise<V>, byteLength: number) {
    this.decoded = decoded;
    this.byteLength = byteLength;
    const settle = () => {
      this.settled = true;
    };
    this.done = decoded.then(settle, settle);
  }
}

/** A frame that is being read. */
class FrameRead {
  /** The frame, or why it could not be read; `undefined` until `done` has resolved. */
  next: IteratorResult<Frame, void> | Failure | undefined;
  /** Resolves when the frame was read, or could not be. */
  readonly done: Promise<void>;

  constructor(frames: AsyncGenerator<Frame, void, undefined>) {
    this.done = frames.next().then(
      (next) => {
        this.next = next;
      },
      (error: unknown) => {
        this.next = new Failure(error);
      },
    );
  }
}

class Failure {
  readonly error: unknown;

  constructor(error: unknown) {
    this.error = error;
  }
}
