import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { closeSync, ftruncateSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CuttingProxy } from "tooling/cutting-proxy";
import { now, record } from "./history.js";
import type { ProcessOptions } from "./process.js";
import type { Tower } from "./tower.js";

export interface SceneOptions {
  readonly tower: Tower;
  readonly seed: string;
  /** An empty folder for all that the round leaves. */
  readonly folder: string;
  readonly packages?: string | undefined;
  /** MiB of a file system of its own for the data, which can be filled. Without it: none. */
  readonly diskMegabytes?: number | undefined;
  /** Whether one process runs in a PID namespace of its own. */
  readonly isApart?: boolean;
}

/** The processes of a round, and the ways in which the nemesis can hurt them. */
export class Scene {
  readonly tower: Tower;
  readonly disk: SmallDisk | undefined;
  readonly directory: string;
  readonly histories: string;
  /** The folder of temporary stores. */
  readonly temporary: string;
  /** Processes that ended by themselves, with what they said. */
  readonly deaths: string[] = [];
  readonly #options: SceneOptions;
  readonly #crashes: number;
  #proxy: CuttingProxy | undefined;
  #server: Actor | undefined;
  #workers: Actor[] = [];
  #restarts = 0;

  constructor(options: SceneOptions) {
    const { tower, folder, diskMegabytes } = options;
    this.tower = tower;
    this.#options = options;
    this.histories = folder;
    this.temporary = join(folder, "temporary");
    mkdirSync(this.temporary);
    const data = join(folder, "data");
    this.disk = diskMegabytes === undefined ? undefined : SmallDisk.mount(data, diskMegabytes);
    this.directory = join(data, "set");
    this.#crashes = openSync(join(folder, "nemesis.history"), "a");
  }

  async begin(): Promise<void> {
    const { served, buffered, clustered, turns } = this.tower;
    if (served) this.#server = await this.#startServer();
    if (served && !clustered) {
      this.#proxy = await CuttingProxy.listen(join(this.histories, "p"), join(this.histories, "s"));
    }
    // A buffer belongs to one process.
    const alone = (buffered || turns) && !served;
    const names = alone ? ["p0"] : ["p0", "p1", "p2"];
    this.#workers = await Promise.all(
      names.map((name, i) => {
        const threads = i === 0 && !served && !alone ? 1 : 0;
        return this.#startWorker(name, alone ? 4 : 2, threads);
      }),
    );
  }

  get workers(): readonly Actor[] {
    return this.#workers;
  }

  get server(): Actor | undefined {
    return this.#server;
  }

  /** Kills a worker, and starts another in its place. */
  async kill(worker: Actor): Promise<void> {
    await this.#crash(worker);
    const { name, lanes, threads } = worker.options;
    const [base] = name.split("r");
    const next = await this.#startWorker(`${base}r${++this.#restarts}`, lanes, threads);
    this.#workers = this.#workers.map((one) => (one === worker ? next : one));
  }

  /** Ends the server, by a kill or as it should be, and starts it again. */
  async restart(isKilled: boolean): Promise<void> {
    const server = this.#server as Actor;
    if (isKilled) await this.#crash(server);
    else await server.end();
    this.#server = await this.#startServer();
  }

  /** Cuts all connections for a while. */
  cut(): void {
    this.#proxy?.down();
  }

  /** Takes all obstacles away. */
  heal(): void {
    this.#wake();
    this.#proxy?.up();
    this.disk?.empty();
  }

  /**
   * Has all processes end, which they do after their present call.
   *
   * @returns the names of those that did not within `milliseconds`; they are killed.
   */
  async end(milliseconds: number): Promise<string[]> {
    const stuck: string[] = [];
    // One that was to stop in a write may have found none until now.
    const waking = setInterval(() => this.#wake(), 100);
    for (const actors of [this.#workers, this.#server ? [this.#server] : []]) {
      await Promise.all(
        actors.map(async (actor) => {
          const timer = setTimeout(() => {
            stuck.push(actor.options.name);
            actor.process.kill("SIGKILL");
          }, milliseconds);
          await actor.end();
          clearTimeout(timer);
        }),
      );
    }
    clearInterval(waking);
    await this.#proxy?.close();
    return stuck;
  }

  /** Kills whatever is left. */
  async leave(): Promise<void> {
    for (const actor of this.#all) await actor.kill();
    await this.#proxy?.close();
    this.disk?.unmount();
  }

  #wake(): void {
    for (const actor of this.#all) actor.process.kill("SIGCONT");
  }

  get #all(): readonly Actor[] {
    return this.#server ? [...this.#workers, this.#server] : this.#workers;
  }

  /** What a buffer held is lost with its process. */
  async #crash(actor: Actor): Promise<void> {
    const began = now();
    await actor.kill();
    const held = this.tower.buffered && actor.options.serves === this.tower.served;
    if (held) record(this.#crashes, { crash: { began, ended: now() } });
  }

  #startWorker(name: string, lanes: number, threads: number): Promise<Actor> {
    const { served, clustered } = this.tower;
    const proxy = served ? `ipc://${join(this.histories, "p")}` : undefined;
    const address = clustered ? this.#server?.firstLine : proxy;
    return this.#start({ name, lanes, threads, address, serves: false });
  }

  #startServer(): Promise<Actor> {
    const address = `ipc://${join(this.histories, "s")}`; // One in a cluster chooses a port.
    return this.#start({ name: "server", lanes: 0, threads: 0, address, serves: true });
  }

  async #start(own: Pick<ProcessOptions, "name" | "lanes" | "threads" | "address" | "serves">) {
    const { tower, seed, packages } = this.#options;
    const { directory, histories, temporary } = this;
    const isApart = this.#options.isApart === true && own.name.startsWith("p1");
    const rest = { tower, seed, packages, directory, histories, temporary };
    const actor = new Actor({ ...own, ...rest }, isApart);
    void actor.exited.then(() => {
      if (!actor.isToEnd || actor.failed) this.deaths.push(`${own.name}: ${actor.lastWords}`);
    });
    await actor.ready;
    return actor;
  }
}

/** One process. */
export class Actor {
  readonly options: ProcessOptions;
  readonly process: ChildProcess;
  readonly ready: Promise<void>;
  readonly exited: Promise<void>;
  /** Whether it runs in a PID namespace of its own, which sees the `/proc` of all. */
  readonly isApart: boolean;
  /** What it says when it is ready: a server its address. */
  firstLine = "";
  /** Whether it has been told to end, or killed. */
  isToEnd = false;
  failed = false;
  #errors = "";

  constructor(options: ProcessOptions, isApart = false) {
    this.options = options;
    this.isApart = isApart;
    const program = fileURLToPath(new URL("../dist/process.js", import.meta.url));
    const command = [process.execPath, program, JSON.stringify(options)];
    const [file = "", ...args] = isApart ? [...APART, ...command] : command;
    this.process = spawn(file, args, { stdio: ["pipe", "pipe", "pipe"] });
    this.process.stdin?.on("error", () => {}); // It may be gone.
    this.process.stderr?.on("data", (data) => {
      this.#errors += data;
    });
    this.exited = new Promise((resolve) => {
      this.process.once("exit", (code) => {
        this.failed = code !== null && code !== 0;
        resolve();
      });
    });
    const said = new Promise<void>((resolve) => {
      this.process.stdout?.once("data", (line) => {
        this.firstLine = String(line).trim();
        resolve();
      });
    });
    this.ready = Promise.race([said, this.exited]);
  }

  get lastWords(): string {
    return this.#errors.slice(-2_000) || "ended without a word";
  }

  say(line: string): void {
    this.process.stdin?.write(`${line}\n`);
  }

  async kill(): Promise<void> {
    this.isToEnd = true;
    this.process.kill("SIGKILL");
    await this.exited;
  }

  async end(): Promise<void> {
    this.isToEnd = true;
    this.say("end");
    await this.exited;
  }
}

/** Whether processes may run in a PID namespace of their own: as root, and not in every container. */
export function mayBeApart(): boolean {
  const [file = "", ...args] = [...APART, "true"];
  return spawnSync(file, args).status === 0;
}

/** Its end ends what it has started. */
const APART = ["unshare", "--pid", "--fork", "--kill-child"];

/** A file system in memory that can be filled. Only root may make one, and not in every container. */
class SmallDisk {
  readonly #mount: string;

  /** @returns undefined where none can be mounted. */
  static mount(folder: string, megabytes: number): SmallDisk | undefined {
    mkdirSync(folder, { recursive: true });
    const size = `size=${megabytes}m`;
    const { status } = spawnSync("mount", ["-t", "tmpfs", "-o", size, "chaos", folder]);
    return status === 0 ? new SmallDisk(folder) : undefined;
  }

  private constructor(mount: string) {
    this.#mount = mount;
  }

  /** Leaves `rest` bytes, or fewer, until {@link empty}. */
  fill(rest: number): void {
    const file = openSync(this.#filler, "w");
    let length = 0;
    try {
      for (const block = Buffer.alloc(2 ** 16); ; ) length += writeSync(file, block);
    } catch {
      ftruncateSync(file, Math.max(0, length - rest));
    } finally {
      closeSync(file);
    }
  }

  empty(): void {
    rmSync(this.#filler, { force: true });
  }

  unmount(): void {
    spawnSync("umount", ["-l", this.#mount]);
  }

  get #filler(): string {
    return join(this.#mount, "filler");
  }
}
