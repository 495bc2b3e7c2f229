import { Worker } from "node:worker_threads";

export interface FuzzOptions {
  /** The URL of a module that exports `targets`. */
  readonly module: string;
  readonly target: string;
  /** The number of the first input; each number is always the same input. */
  readonly from: number;
  /** The number to end before. Default: none. */
  readonly to?: number;
  /** Wall clock, in milliseconds; what is under way is finished. Default: no end. */
  readonly milliseconds?: number;
  /** CPU that one input may take, in milliseconds. Default 5,000; most take a few hundredths of one. */
  readonly budget?: number;
  /** Inputs between two measurements of what is held. Default 5,000. */
  readonly measureEvery?: number;
  /** MiB of heap that a decoder gets. Default 256. */
  readonly heap?: number;
}

export interface FuzzReport {
  readonly inputs: number;
  readonly violations: readonly Violation[];
  /** Bytes that were held after each measurement, the first one of a worker aside. */
  readonly held: readonly number[];
  /** The most resident memory of the process at a measurement, in bytes. */
  readonly rss: number;
}

export interface Violation {
  readonly index: number;
  readonly kind: "error" | "hang" | "memory" | "growth" | "crash";
  readonly reason: string;
}

export interface Order {
  readonly module: string;
  readonly target: string;
  readonly from: number;
  readonly to: number;
  readonly measureEvery: number;
  /** Two float64: the number of the input under way, and whether to end. */
  readonly shared: SharedArrayBuffer;
}

export type Message =
  | { readonly broken: number; readonly reason: string }
  | { readonly measured: number; readonly held: number; readonly rss: number }
  | { readonly done: true };

/**
 * Feeds a decoder in a thread of its own, and goes on with a new one behind an input on which it was
 * ended. A violation that looks like an earlier one is not reported again.
 */
export async function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  const { to = Number.POSITIVE_INFINITY, milliseconds = Number.POSITIVE_INFINITY } = options;
  const end = performance.now() + milliseconds;
  const violations = new Map<string, Violation>();
  const held: number[] = [];
  let rss = 0;
  let inputs = 0;
  let from = options.from;
  while (from < to && performance.now() < end) {
    const run = await runWorker({ ...options, from, to }, end);
    for (const violation of [...run.violations, ...growth(run.held, run.next - 1)]) {
      const shape = `${violation.kind} ${violation.reason.replace(/\d+/g, "#").slice(0, 600)}`;
      if (!violations.has(shape)) violations.set(shape, violation);
    }
    inputs += run.next - from;
    held.push(...run.held);
    rss = Math.max(rss, run.rss);
    from = run.next;
  }
  return { inputs, violations: [...violations.values()], held, rss };
}

/** More than a third and 16 MiB above what was held at first, and still so in the end. */
function growth(held: readonly number[], index: number): Violation[] {
  const [first, last] = [held[0], held.at(-1)];
  if (first === undefined || last === undefined || last < first * 1.33 + 2 ** 24) return [];
  return [{ index, kind: "growth", reason: `from ${first} bytes held to ${last}` }];
}

interface WorkerRun {
  readonly next: number;
  readonly violations: Violation[];
  readonly held: number[];
  readonly rss: number;
}

function runWorker(options: FuzzOptions & { to: number }, end: number): Promise<WorkerRun> {
  const { module, target, from, to, budget = 5000, measureEvery = 5000, heap = 256 } = options;
  const shared = new SharedArrayBuffer(16);
  const state = new Float64Array(shared);
  state[0] = from;
  const order: Order = { module, target, from, to, measureEvery, shared };
  const worker = new Worker(new URL("./worker.js", import.meta.url), {
    workerData: order,
    resourceLimits: { maxOldGenerationSizeMb: heap },
  });
  const violations: Violation[] = [];
  const held: number[] = [];
  let rss = 0;
  let next: number | undefined;
  let measurements = 0;

  const { promise, resolve } = withResolvers<WorkerRun>();
  // By CPU, so that a machine with other work does not make a hang of what only waits for its turn.
  let index = -1;
  let began = 0;
  const watch = setInterval(() => {
    if (performance.now() >= end) state[1] = 1;
    const { user, system } = process.cpuUsage();
    const cpu = (user + system) / 1000;
    if (state[0] !== index) {
      index = state[0] as number;
      began = cpu;
    } else if (cpu - began > budget && next === undefined) {
      violations.push({ index, kind: "hang", reason: `over ${budget} ms of CPU` });
      next = index + 1;
      void worker.terminate();
    }
  }, 100);
  worker.on("message", (message: Message) => {
    if ("broken" in message) {
      violations.push({ index: message.broken, kind: "error", reason: message.reason });
    } else if ("measured" in message) {
      rss = Math.max(rss, message.rss);
      // What is compiled and cached on first use is not growth.
      if (measurements++ > 0) held.push(message.held);
    } else next = (state[1] ? (state[0] as number) : to - 1) + 1;
  });
  worker.on("error", (error: NodeJS.ErrnoException) => {
    const at = state[0] as number;
    const kind = error.code === "ERR_WORKER_OUT_OF_MEMORY" ? "memory" : "crash";
    violations.push({ index: at, kind, reason: String(error) });
    next = at + 1;
  });
  worker.on("exit", () => {
    clearInterval(watch);
    resolve({ next: next ?? (state[0] as number) + 1, violations, held, rss });
  });
  return promise;
}

/** `Promise.withResolvers`, which Node has since 22. */
function withResolvers<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((take) => {
    resolve = take;
  });
  return { promise, resolve };
}
