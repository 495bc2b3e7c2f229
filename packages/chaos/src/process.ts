// A process of a round, or a thread in one: runs lanes over a store, or serves it. Its options come
// as JSON; lines on its standard input tell it to end, to move its clock, to end its thread, or to
// stand still at its next write to the data set.
import fs, { openSync, readlinkSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { createInterface } from "node:readline";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { runLane, type Tried } from "./lane.js";
import { Packages, type Tower } from "./tower.js";

export interface ProcessOptions {
  /** Not used before in this round: `"p0"`, and after a kill `"p0r1"`. */
  readonly name: string;
  readonly seed: string;
  readonly tower: Tower;
  readonly directory: string;
  /** The folder of histories. */
  readonly histories: string;
  /** Of the server, for a client's process and for the server's own. */
  readonly address?: string | undefined;
  readonly serves: boolean;
  readonly packages?: string | undefined;
  readonly lanes: number;
  readonly threads: number;
}

const options = (
  isMainThread ? JSON.parse(process.argv[2] as string) : workerData
) as ProcessOptions;
const { name, seed, tower, directory, address, histories } = options;
const packages = new Packages(options.packages);
let isOver = false;
let isToStop = false;
let skew = 0;

async function serve(): Promise<void> {
  const { Server } = await packages.server();
  const store = await packages.open(tower, directory);
  const server = await Server.listen(store, { address });
  console.log("ready");
  await heed(() => {});
  await server.close();
  process.exit(0);
}

async function work(): Promise<void> {
  const store = await (tower.served
    ? packages.connect(address as string)
    : packages.open(tower, directory));
  const file = openSync(`${histories}/${name}.history`, "a");
  const threads: Thread[] = [];
  if (isMainThread) {
    for (let i = 0; i < options.threads; i++) threads.push(new Thread(i));
    console.log("ready");
    void heed(() => threads[0]?.renew());
  } else {
    parentPort?.on("message", (line) => obey(String(line)));
  }
  const lanes = Array.from({ length: options.lanes }, (_, i) =>
    runLane(store as Tried, { lane: `${name}l${i}`, seed, file, isOver: () => isOver }),
  );
  await Promise.all(lanes);
  await Promise.all(threads.map((thread) => thread.end()));
  await store.close();
  process.exit(0);
}

/** A thread with a store of its own. */
class Thread {
  readonly #number: number;
  #round = 0;
  #worker: Worker;

  constructor(number: number) {
    this.#number = number;
    this.#worker = this.#start();
  }

  /** Ends it without a word to its store, and begins another. */
  async renew(): Promise<void> {
    const old = this.#worker;
    this.#round++;
    this.#worker = this.#start();
    await old.terminate();
  }

  async end(): Promise<void> {
    const worker = this.#worker;
    const ended = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
    worker.postMessage("end");
    await ended;
  }

  #start(): Worker {
    const thread = `${name}t${this.#number}${"r".repeat(this.#round)}`;
    const data: ProcessOptions = { ...options, name: thread, threads: 0, lanes: 1 };
    return new Worker(new URL(import.meta.url), { workerData: data });
  }
}

async function heed(renew: () => unknown): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === "thread") renew();
    else obey(line);
    if (isOver) return;
  }
  isOver = true; // The one that started it is gone.
}

function obey(line: string): void {
  if (line === "end") isOver = true;
  if (line === "stop") isToStop = true;
  if (line === "go on") isToStop = false;
  const [, milliseconds] = /^clock (-?\d+)$/.exec(line) ?? [];
  if (milliseconds !== undefined) skew = Number(milliseconds);
}

/** The wall clock of this thread is what the nemesis says. */
function moveClocks(): void {
  const { Date: RealDate } = globalThis;
  globalThis.Date = class extends RealDate {
    constructor(...args: unknown[]) {
      super(...((args.length === 0 ? [RealDate.now() + skew] : args) as []));
    }

    static override now(): number {
      return RealDate.now() + skew;
    }
  } as DateConstructor;
}

/** Stops the process just before it writes, which is when it does the most harm later. */
function stopInWrites(): void {
  for (const name of ["write", "writeSync", "writev", "writevSync"] as const) {
    const calls = fs as unknown as Record<string, (...args: unknown[]) => unknown>;
    const original = calls[name] as (...args: unknown[]) => unknown;
    calls[name] = (...args) => {
      if (isToStop && isData(args[0] as number)) {
        isToStop = false;
        process.kill(process.pid, "SIGSTOP");
      }
      return original(...args);
    };
  }
  syncBuiltinESMExports();
}

function isData(fd: number): boolean {
  try {
    const path = readlinkSync(`/proc/self/fd/${fd}`);
    return path.startsWith(directory) && !/\.partd|manifest|reserve/.test(path);
  } catch {
    return false;
  }
}

stopInWrites();
moveClocks();
if (options.serves) await serve();
else await work();
