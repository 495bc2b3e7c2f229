import type { Worker } from "node:worker_threads";
import { onAbort } from "@partd/core/author";
import type { RecordsPart } from "@partd/records";
import type { Run } from "../run/run.js";
import { errorOf, type ThreadFailure } from "../threads/thread-failure.js";
import { startThread } from "../threads/thread-program.js";
import { type LineJob, LineJoiner } from "./line-joiner.js";
import { LineTurns, MOST_HELD } from "./line-turns.js";

/** What a thread gets. */
export interface LineWork {
  readonly job: LineJob;
  /** The state of `LineTurns`. */
  readonly turns: Int32Array;
  /** Its number, from 0. */
  readonly thread: number;
}

export type LineMessage =
  | { readonly records: number; readonly bytes: number }
  | { readonly number: number; readonly piece: Uint8Array }
  /** A part has ended; `rest` is where the rest begins if it could not be joined. */
  | { readonly number: number; readonly rest: number | undefined }
  | { readonly number: number; readonly failure: ThreadFailure }
  | { readonly done: true };

export const lineProgram = (): URL => new URL("./line-worker.js", import.meta.url);

/** Threads that join lines together with this one. They begin to start at once, and need an `end`. */
export class LineThreads {
  readonly #run: Run;
  readonly #turns: LineTurns;
  readonly #results: PartResults;
  readonly #workers: readonly Worker[];

  /** @param program of a thread; not needed for none. */
  constructor(run: Run, program: URL | undefined, count: number) {
    this.#run = run;
    this.#turns = new LineTurns(LineTurns.state(count));
    this.#results = new PartResults(this.#turns);
    this.#workers = Array.from({ length: count }, (_, thread) => {
      const worker = startThread(program!);
      this.#results.listen(worker, thread, this.#onRead);
      return worker;
    });
  }

  readonly #onRead = (records: number, bytes: number) => this.#run.progress.add(records, bytes);

  /**
   * Yields lines in the order of the left side, although its parts may be joined in any order.
   *
   * @returns the parts that could not be joined this way: all of them, if the right side is too large.
   */
  async *join(job: LineJob): AsyncGenerator<Uint8Array, readonly RecordsPart[]> {
    const { signal } = this.#run;
    const turns = this.#turns;
    const results = this.#results;
    const onRead = this.#onRead;
    for (const [thread, worker] of this.#workers.entries()) {
      const work: LineWork = { job, turns: turns.state, thread };
      worker.postMessage(work);
    }
    let own: OwnPart | undefined;
    const forget = signal && onAbort(signal, () => results.fail(signal.reason));
    try {
      const joiner = await LineJoiner.open(job, onRead, signal);
      if (!joiner) return job.left;
      for (let next = 0; next < job.left.length; ) {
        const result = results.of(next);
        const piece = result.pieces.shift();
        if (piece) {
          yield piece.bytes;
          results.release(piece);
        } else if (result.isEnded) {
          if (result.failure !== undefined) throw result.failure;
          const part = job.left[next]!;
          if (result.rest !== undefined) {
            return [{ ...part, start: result.rest }, ...job.left.slice(next + 1)];
          }
          results.forget(next++);
        } else {
          const number: number = own?.number ?? turns.take();
          own ??= job.left[number] && { number, pieces: joiner.part(job.left[number], onRead) };
          // Limit how much this thread makes ahead of its turn.
          if (own && (own.number === next || results.held < MOST_HELD)) {
            if (await results.step(own)) own = undefined;
          } else await results.news();
        }
        results.check();
      }
      return [];
    } finally {
      forget?.();
      turns.stop();
      await own?.pieces.return(undefined);
      await this.end();
    }
  }

  async end(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}

/** A part that this thread joins. */
interface OwnPart {
  readonly number: number;
  readonly pieces: AsyncGenerator<Uint8Array, number | undefined>;
}

interface Piece {
  readonly bytes: Uint8Array;
  /** The thread that made it; `undefined` for this one. */
  readonly thread: number | undefined;
}

interface PartResult {
  readonly pieces: Piece[];
  isEnded: boolean;
  rest?: number | undefined;
  failure?: unknown;
}

/** What has been joined of each part, and not been read yet. */
class PartResults {
  /** Bytes of pieces that this thread has made. */
  held = 0;
  readonly #turns: LineTurns;
  readonly #parts = new Map<number, PartResult>();
  #failure: { readonly reason: unknown } | undefined;
  #wake = () => {};

  constructor(turns: LineTurns) {
    this.#turns = turns;
  }

  of(number: number): PartResult {
    const part = this.#parts.get(number) ?? { pieces: [], isEnded: false };
    this.#parts.set(number, part);
    return part;
  }

  forget(number: number): void {
    this.#parts.delete(number);
  }

  listen(worker: Worker, thread: number, onRead: (records: number, bytes: number) => void): void {
    let isDone = false;
    worker.on("message", (message: LineMessage) => {
      if ("done" in message) isDone = true;
      else if ("records" in message) onRead(message.records, message.bytes);
      else if ("piece" in message) {
        this.of(message.number).pieces.push({ bytes: message.piece, thread });
      } else {
        const failure = "failure" in message ? errorOf(message.failure) : undefined;
        const rest = "rest" in message ? message.rest : undefined;
        Object.assign(this.of(message.number), { isEnded: true, rest, failure });
      }
      this.#wake();
    });
    worker.on("error", (error) => this.fail(error));
    worker.on("exit", () => {
      if (!isDone) this.fail(new Error("a thread ended before its work"));
    });
  }

  /** Fails the run, whichever part comes next. */
  fail(reason: unknown): void {
    this.#failure ??= { reason };
    this.#wake();
  }

  check(): void {
    if (this.#failure) throw this.#failure.reason;
  }

  /** Resolves once a thread has sent something. */
  news(): Promise<void> {
    if (this.#failure) return Promise.resolve();
    return new Promise((resolve) => (this.#wake = resolve));
  }

  /** Makes the next piece of a part. @returns whether it was the last. */
  async step(own: OwnPart): Promise<boolean> {
    const part = this.of(own.number);
    try {
      const { value, done } = await own.pieces.next();
      if (done) Object.assign(part, { isEnded: true, rest: value });
      else {
        part.pieces.push({ bytes: value, thread: undefined });
        this.held += value.length;
      }
    } catch (failure) {
      // Reported in its turn: of several failures, the first in the input counts.
      Object.assign(part, { isEnded: true, failure });
    }
    return part.isEnded;
  }

  /** Notes that a piece has been read. */
  release({ bytes, thread }: Piece): void {
    if (thread === undefined) this.held -= bytes.length;
    else this.#turns.release(thread, bytes.length);
  }
}
