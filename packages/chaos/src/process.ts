// A process of a round, or a thread in one: runs lanes over a store, or serves it. Its options come
// as JSON; lines on its standard input tell it to end, to move its clock, to end its thread, its
// temporary store or its Python, to have a crowd of clients ask or a rival want its port, or to stand still at
// its next write to the data set.
import cluster, { type Worker as ClusterWorker } from "node:cluster";
import { once } from "node:events";
import fs, { openSync, readlinkSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { type AddressInfo, createServer } from "node:net";
import { createInterface } from "node:readline";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import type { Store } from "@partd/core";
import { Gate } from "@partd/core/author";
import { type Asked, runLane, type Tried } from "./lane.js";
import { PythonStore } from "./python-store.js";
import { Packages, type Tower } from "./tower.js";

export interface ProcessOptions {
  /** Not used before in this round: `"p0"`, and after a kill `"p0r1"`. */
  readonly name: string;
  readonly seed: string;
  readonly tower: Tower;
  readonly directory: string;
  /** The folder of histories. */
  readonly histories: string;
  /** The folder of temporary stores. */
  readonly temporary: string;
  /** Of the server, for a client's process and for the server's own. */
  readonly address?: string | undefined;
  readonly serves: boolean;
  readonly packages?: string | undefined;
  readonly lanes: number;
  readonly threads: number;
  /** Whether this thread does nothing but use a temporary store. */
  readonly isTemporary?: boolean;
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
  await heed({});
  await server.close();
  process.exit(0);
}

/** A primary of `node:cluster`: one worker serves the data set, and rivals ask for its port. */
async function serveInCluster(): Promise<void> {
  cluster.setupPrimary({ exec: process.argv[1] as string, args: process.argv.slice(2) });
  const port = await freePort();
  const server = cluster.fork({ PARTD_CHAOS_PORT: port });
  await once(server, "message");
  console.log(`ws://127.0.0.1:${port}`);
  let rival: ClusterWorker | undefined;
  let isShared = false;
  const compete = () => {
    // One that got the port stays: what it is sent never reaches the data set.
    rival ??= cluster.fork({ PARTD_CHAOS_PORT: port, PARTD_CHAOS_RIVAL: "1" });
    rival.once("message", (listens) => {
      if (listens) isShared = true;
      else rival = undefined;
    });
  };
  await heed({ rival: compete });
  rival?.process.kill("SIGKILL"); // It might get the port when the server has given it up.
  server.send("end");
  await once(server, "exit");
  if (isShared) console.error(`two workers of a cluster listened on port ${port}`);
  process.exit(isShared ? 1 : 0);
}

/** By its number: workers that ask for port 0 do not ask for the same. */
async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

async function serveAsWorker(): Promise<void> {
  const { Server } = await packages.server();
  const { PARTD_CHAOS_PORT: port, PARTD_CHAOS_RIVAL: isRival } = process.env;
  const store = await packages.open(tower, isRival ? `${directory}-rival` : directory);
  const say = (listens: boolean) => new Promise((resolve) => process.send?.(listens, resolve));
  try {
    const server = await Server.listen(store, { address: `ws://127.0.0.1:${port}` });
    await say(true);
    while ((await once(process, "message"))[0] !== "end");
    await server.close();
  } catch (error) {
    if (!isRival) throw error;
    await say(false);
    await store.close();
  }
  process.exit(0);
}

async function work(): Promise<void> {
  const open = () =>
    tower.served ? packages.connect(address as string) : packages.open(tower, directory);
  const stores = await Promise.all(tower.turns ? [open(), open()] : [open()]);
  const file = openSync(`${histories}/${name}.history`, "a");
  const threads: Thread[] = [];
  const temporary = new TemporaryThread();
  const crowd = new Crowd();
  // Another program takes its turn whenever no call is under way.
  const gate = new Gate();
  const python = new PythonStore(directory);
  if (isMainThread) {
    for (let i = 0; i < options.threads; i++) threads.push(new Thread(i));
    console.log("ready");
    void heed({
      thread: () => threads[0]?.renew(),
      temporary: () => temporary.renew(),
      storm: () => crowd.ask(),
      python: () => gate.exclusive(() => python.kill()),
    });
  } else {
    parentPort?.on("message", (line) => obey(String(line)));
  }
  const shared = (call: () => Promise<void>) => gate.shared(call);
  const lanes = Array.from({ length: options.lanes }, (_, i) => {
    const store = stores[i % stores.length] as Tried;
    const lane = `${name}l${i}`;
    return runLane(store, { lane, seed, file, isOver: () => isOver, inTurn: shared });
  });
  if (tower.turns) {
    const alone = (call: () => Promise<void>) => gate.exclusive(call);
    const lane = { lane: `${name}python`, seed, file, isOver: () => isOver, inTurn: alone };
    lanes.push(runLane(python as Asked, lane));
  }
  await Promise.all(lanes);
  await Promise.all(threads.map((thread) => thread.end()));
  await temporary.end();
  await crowd.end();
  await python.kill();
  for (const store of stores) await store.close();
  process.exit(0);
}

/** Clients besides those of the lanes: so many that lost the server together come back together. */
class Crowd {
  #clients: Promise<readonly Store[]> | undefined;
  #asked: Promise<unknown> = Promise.resolve();

  /** Each asks once: reads are repeated, so none may fail. */
  ask(): Promise<unknown> {
    const connect = () => packages.connect(address as string);
    this.#clients ??= Promise.all(Array.from({ length: CROWD }, connect));
    this.#asked = Promise.all([this.#asked, this.#each((client) => client.count())]);
    return this.#asked;
  }

  async end(): Promise<void> {
    await this.#asked;
    await this.#each((client) => client.close());
  }

  async #each(call: (client: Store) => Promise<unknown>): Promise<void> {
    await Promise.all(((await this.#clients) ?? []).map(call));
  }
}

const CROWD = 300;

/** A thread with a temporary store, which is terminated while it uses it. */
class TemporaryThread {
  #worker: Worker | undefined;

  async renew(): Promise<void> {
    const old = this.#worker;
    const data: ProcessOptions = { ...options, threads: 0, isTemporary: true };
    this.#worker = new Worker(new URL(import.meta.url), { workerData: data });
    await old?.terminate();
  }

  async end(): Promise<void> {
    await this.#worker?.terminate();
  }
}

async function useTemporary(): Promise<never> {
  const store = await packages.openTemporary(tower, options.temporary);
  for (let n = 1; ; n++) {
    await store.append({ [`k${n % 10}`]: Buffer.alloc(1_000, "x") });
    if (n % 500 === 0) await store.drop();
  }
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

async function heed(deeds: Readonly<Record<string, () => unknown>>): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    const deed = deeds[line];
    if (deed) void deed();
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
if (options.isTemporary) await useTemporary();
else if (cluster.isWorker) await serveAsWorker();
else if (options.serves) await (tower.clustered ? serveInCluster() : serve());
else await work();
