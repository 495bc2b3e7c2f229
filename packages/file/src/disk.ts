import fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * One call of `node:fs`: its name, then its arguments. Work on files is written as a generator of
 * calls, so that the same lines run in this thread or in the thread pool.
 */
export type Call = readonly [name: Name, ...args: unknown[]];
export type Steps<T> = Generator<Call, T, unknown>;

/**
 * Makes file system calls where they cost least. A small read or write that the page cache answers
 * takes 1 µs in this thread and 4 µs of this thread's time by way of the thread pool, so calls are
 * made here for as long as they answer at once; after one that did not, and always for long pieces,
 * they go to the pool, where they wait without holding up the event loop, many at a time.
 */
export class Disk {
  readonly #data = new Gauge();
  /** Making and removing names may wait for the disk where reading and writing does not. */
  readonly #names = new Gauge();

  /** Runs the steps: to their end in this thread if it can, which a result that is no promise tells. */
  run<T>(steps: Steps<T>): T | Promise<T> {
    let step = steps.next();
    while (!step.done) {
      const gauge = this.#gaugeFor(step.value);
      if (isLong(step.value) || !gauge.prompt) return this.#runPooled(steps, step.value);
      step = this.#runHere(steps, step.value, gauge);
    }
    return step.value;
  }

  /** For reads and writes outside of steps: whether one may be made in this thread. */
  takesHere(byteLength: number, most = LONG): boolean {
    return byteLength <= most && this.#data.prompt;
  }

  /** Tells how long one took. */
  took(milliseconds: number): void {
    this.#data.took(milliseconds);
  }

  #runHere<T>(steps: Steps<T>, [name, ...args]: Call, gauge: Gauge): IteratorResult<Call, T> {
    const start = performance.now();
    let result: unknown;
    try {
      result = (inThread[name] as (...args: unknown[]) => unknown)(...args);
    } catch (error) {
      gauge.took(performance.now() - start);
      return steps.throw(error);
    }
    gauge.took(performance.now() - start);
    return steps.next(result);
  }

  async #runPooled<T>(steps: Steps<T>, call: Call): Promise<T> {
    let step: IteratorResult<Call, T> = { done: false, value: call };
    for (;;) {
      let result: unknown;
      let failure: { readonly error: unknown } | undefined;
      try {
        result = await callPooled(step.value as Call);
      } catch (error) {
        failure = { error };
      }
      step = failure ? steps.throw(failure.error) : steps.next(result);
      // What follows may be quick again.
      while (!step.done && !isLong(step.value) && this.#gaugeFor(step.value).prompt) {
        step = this.#runHere(steps, step.value, this.#gaugeFor(step.value));
      }
      if (step.done) return step.value;
    }
  }

  #gaugeFor([name]: Call): Gauge {
    return DATA.has(name) ? this.#data : this.#names;
  }
}

/** Whether calls of one sort are answered at once at present. */
class Gauge {
  #poolUntil = 0;
  /** Calls for which another slow one still counts as the second in a row. */
  #suspicious = 0;

  get prompt(): boolean {
    if (this.#poolUntil === 0) return true;
    if (performance.now() < this.#poolUntil) return false;
    this.#poolUntil = 0;
    return true;
  }

  took(milliseconds: number): void {
    if (milliseconds < SLOW_MS) {
      if (this.#suspicious > 0) this.#suspicious--;
    } else if (this.#suspicious === 0) {
      this.#suspicious = SUSPICIOUS; // It may as well be that another process had its turn.
    } else {
      this.#poolUntil = performance.now() + Math.min(milliseconds * POOL_FACTOR, POOL_MS);
    }
  }
}

/** Runs steps in this thread whatever it costs: where a process ends and cannot wait. */
export function runNow<T>(steps: Steps<T>): T {
  let step = steps.next();
  while (!step.done) {
    const [name, ...args] = step.value;
    try {
      step = steps.next((inThread[name] as (...args: unknown[]) => unknown)(...args));
    } catch (error) {
      step = steps.throw(error);
    }
  }
  return step.value;
}

/** Bounds how many pooled calls are under way at once, and gathers their errors. */
export class Flight {
  readonly #width: number;
  #running = 0;
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor(width: number) {
    this.#width = width;
  }

  /** Whether `room` or `landed` would throw. */
  get failed(): boolean {
    return this.#failure !== undefined;
  }

  add(work: Promise<unknown>): void {
    this.#running++;
    work
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => {
        this.#running--;
        this.#wake?.();
      });
  }

  /** Resolves when another call may be added. @throws what one of them failed with. */
  async room(): Promise<void> {
    while (this.#running >= this.#width) await this.#change();
    if (this.#failure) throw this.#failure.error;
  }

  /** Resolves when none is under way. @throws what one of them failed with. */
  async landed(): Promise<void> {
    await this.settled();
    if (this.#failure) throw this.#failure.error;
  }

  /** Resolves when none is under way, however they ended. */
  async settled(): Promise<void> {
    while (this.#running > 0) await this.#change();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined;
        resolve();
      };
    });
  }
}

/** The `code` of a failed system call. */
export function errnoOf(error: unknown): string | undefined {
  return typeof error === "object" && error !== null && "code" in error
    ? String(error.code)
    : undefined;
}

/** Waits for what may pass by itself, such as descriptors that others hold. */
export function pause(milliseconds: number): Promise<void> {
  return sleep(milliseconds, undefined, { ref: true });
}

/** Pieces up to this length, in bytes, are copied to or from the page cache in this thread. */
export const LONG = 65_536;
/** A call in this thread that took longer, in milliseconds, waited for the disk. */
const SLOW_MS = 3;
const SUSPICIOUS = 16;
/** Then calls go to the pool for so many times as long, so that little time is lost with trials. */
const POOL_FACTOR = 20;
const POOL_MS = 1000;
const DATA: ReadonlySet<string> = new Set(["read", "write", "fstat", "close"]);

const inThread = {
  open: fs.openSync,
  close: fs.closeSync,
  fstat: fs.fstatSync,
  stat: fs.statSync,
  read: fs.readSync,
  write: fs.writeSync,
  ftruncate: fs.ftruncateSync,
  truncate: fs.truncateSync,
  fdatasync: fs.fdatasyncSync,
  fsync: fs.fsyncSync,
  link: fs.linkSync,
  mkdir: fs.mkdirSync,
  readdir: fs.readdirSync,
  rename: fs.renameSync,
  rmdir: fs.rmdirSync,
  unlink: fs.unlinkSync,
  utimes: fs.utimesSync,
  access: fs.accessSync,
};
type Name = keyof typeof inThread;

function isLong(call: Call): boolean {
  if (call[0] === "read" || call[0] === "write") return (call[4] as number) > LONG;
  return call[0] === "fsync" || call[0] === "fdatasync"; // They wait by definition.
}

function callPooled([name, ...args]: Call): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const answer = (error: Error | null, result?: unknown) => {
      if (error) reject(error);
      else resolve(result);
    };
    (fs[name] as (...args: unknown[]) => void)(...args, answer);
  });
}
