import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import timers from "node:timers/promises";
import { isPartdError, type Store } from "@partd/core";
import { sameValue, show } from "../check.js";
import { bytes } from "../store/store-case.js";
import { type DiskCall, FaultyDisk } from "./faulty-disk.js";
import {
  BEFORE,
  bytesOf,
  type DiskOperation,
  diskOperations,
  unchanged,
  type Values,
  valuesOf,
} from "./operations.js";

export interface DiskFaultOptions {
  /** An empty folder for the data sets. */
  readonly root: string;
  /** Makes a store over a directory, which may be missing. */
  readonly open: (directory: string) => Store;
  /** The operations to try. Default: `diskOperations`, which every store has. */
  readonly operations?: readonly DiskOperation[] | undefined;
  /** Paths within the directory, with `/`, that must be gone when the store is closed. */
  readonly passing?: RegExp | undefined;
  /**
   * Folders within the directory that hold locks. They are left out of the copies that represent what a
   * kill leaves. Default: none, and no copies are made, because such a store's data are in memory and
   * lost.
   */
  readonly lockFolders?: readonly string[] | undefined;
  /**
   * Whether each call fails in every way, also in a store that was not used before. This takes minutes.
   * Default false: each call fails in one way, by turns.
   */
  readonly thorough?: boolean | undefined;
}

export interface DiskFaultReport {
  /** How many faults were injected. */
  readonly faults: number;
  /** What was wrong after which fault; empty if nothing was. */
  readonly breaches: readonly string[];
}

/**
 * Makes each file system call of an operation fail in turn, alone or with all later calls. Whatever
 * fails, the operation either succeeds, or rejects with a `PartdError` and has changed nothing. Then it
 * must succeed when it is called again, in this store and in another, and leave no descriptor and no
 * file behind. So that each run makes the same calls, the clocks advance a little at each reading,
 * delays of `node:timers/promises` are shortened, and nothing is flushed to the disk.
 *
 * Run it in a process of its own, outside jest: see `FaultyDisk`.
 */
export async function tryDiskFaults(options: DiskFaultOptions): Promise<DiskFaultReport> {
  const sweep = new Sweep(options);
  await using _ = await sweep.begin();
  const { operations = diskOperations, thorough = false } = options;
  for (const operation of operations) {
    for (const isWarm of [false, true]) {
      if (!thorough && !isWarm && operation !== operations[0]) continue;
      for (const kind of thorough ? kinds : [undefined]) {
        for (let call = 1; await sweep.try({ operation, isWarm, kind, call }); ) call++;
      }
    }
  }
  return sweep.report;
}

/** How calls fail: one call with this code, or it and all later ones that can fail so. */
interface FaultKind {
  readonly code: string;
  readonly isLasting: boolean;
}

const kinds: readonly FaultKind[] = [
  "EMFILE",
  "ENOSPC",
  "EDQUOT",
  "EIO",
  "EACCES",
  "EROFS",
].flatMap((code) => [true, false].map((isLasting) => ({ code, isLasting })));

interface Fault {
  readonly operation: DiskOperation;
  /** Whether the store was used before, so that its lock and files are open. */
  readonly isWarm: boolean;
  /** The kind of fault. Default: another one for each call, by turns. */
  readonly kind: FaultKind | undefined;
  /** The failing call, counted from 1 among those that can fail in this way. */
  readonly call: number;
}

/** The state after an operation during which a call failed. */
interface Aftermath {
  readonly operation: DiskOperation;
  readonly directory: string;
  readonly store: Store;
  /** What the store held before. */
  readonly held: Values;
  /** What the operation rejected with; `undefined` if it succeeded. */
  readonly error: unknown;
}

type Check = (what: string, good: boolean) => void;

class Sweep {
  readonly #options: DiskFaultOptions;
  readonly #breaches: string[] = [];
  readonly #unhandled: unknown[] = [];
  #disk!: FaultyDisk;
  #faults = 0;
  #template: string;

  constructor(options: DiskFaultOptions) {
    this.#options = options;
    this.#template = join(options.root, "template");
  }

  get report(): DiskFaultReport {
    return { faults: this.#faults, breaches: this.#breaches };
  }

  async begin(): Promise<AsyncDisposable> {
    const store = this.#options.open(this.#template);
    await store.append(bytesOf(BEFORE));
    await store.close();
    const note = (reason: unknown) => this.#unhandled.push(reason);
    process.on("unhandledRejection", note);
    const { setTimeout: sleep } = timers;
    timers.setTimeout = (_ms, value, options) => sleep(1, value, options);
    const { now } = performance;
    const { now: today } = Date;
    let clock = today();
    performance.now = () => {
      clock += TICK_MS;
      return clock;
    };
    Date.now = () => Math.floor(clock);
    this.#disk = await FaultyDisk.install();
    return {
      [Symbol.asyncDispose]: async () => {
        process.off("unhandledRejection", note);
        timers.setTimeout = sleep;
        performance.now = now;
        Date.now = today;
        this.#disk.remove();
        syncBuiltinESMExports();
      },
    };
  }

  /** @returns false if the operation makes fewer calls. */
  async try(fault: Fault): Promise<boolean> {
    const { operation, isWarm, call } = fault;
    const directory = join(this.#options.root, "data");
    fs.cpSync(this.#template, directory, { recursive: true });
    const descriptors = openDescriptors();
    const breaches: string[] = [];
    const store = this.#options.open(directory);
    let held = BEFORE;
    if (isWarm) {
      await store.append({ y: bytes("w") });
      held = { ...held, y: `${held.y}w` };
    }
    const { error, kind, failed } = await this.#runFailing(fault, store, held);
    const check: Check = (what, good) => {
      if (!good) breaches.push(what);
    };
    try {
      if (error !== undefined && kind) checkError(error, kind.code, check);
      await this.#checkContent({ operation, directory, store, held, error }, check);
    } catch (late) {
      breaches.push(`afterwards: ${show(late)}${late instanceof Error ? late.stack : ""}`);
    }
    await new Promise((resolve) => setImmediate(resolve));
    const open = openDescriptors();
    check(
      `descriptors left open: ${open.filter((one) => !descriptors.includes(one))}`,
      open.length <= descriptors.length,
    );
    for (const reason of this.#unhandled.splice(0)) breaches.push(`unhandled: ${show(reason)}`);
    const left = this.#leftIn(directory, kind?.isLasting === true);
    check(`files left: ${left}`, left.length === 0);
    const where = `${operation.name}${isWarm ? ", warm" : ""}: ${kind?.code} at call ${call}, ${failed}`;
    for (const breach of breaches) {
      this.#breaches.push(`${where}${kind?.isLasting ? " and later" : ""}: ${breach}`);
    }
    fs.rmSync(directory, { recursive: true });
    return failed !== undefined;
  }

  /** Runs the operation while the call fails. `failed` is the call's name, if there were that many. */
  async #runFailing({ operation, call, kind: given }: Fault, store: Store, held: Values) {
    let count = 0;
    let failed: string | undefined;
    let kind = given;
    this.#disk.rule = (one) => {
      if (kind && !canFail(one, kind.code)) return undefined;
      count++;
      if (count < call || (count > call && !kind?.isLasting)) return undefined;
      failed ??= one.name;
      kind ??= this.#nextKind(one);
      return kind.code;
    };
    const error = await errorOf(operation.run(store, held));
    this.#disk.rule = undefined;
    if (failed !== undefined) this.#faults++;
    return { error, kind, failed };
  }

  /**
   * Checks what the data set holds after a kill, in this store, after a second call, and in another
   * store. Closes the store.
   */
  async #checkContent({ operation, directory, store, held, error }: Aftermath, check: Check) {
    const allowed = (found: Values) => isAllowed(found, held, operation, error);
    if (this.#options.lockFolders && operation.after !== unchanged) {
      await using survivor = this.#options.open(this.#killed(directory));
      const found = await valuesOf(survivor);
      check(`after a kill: ${show(JSON.stringify(found))}`, allowed(found));
    }
    let now = held;
    if (operation.closes) {
      const again = await errorOf(store.close());
      check(`close() again: ${show(again)}`, again === undefined || again === error);
    } else {
      now = await valuesOf(store);
      check(
        `${error ? show(error) : "done"}, and then: ${show(JSON.stringify(now))}`,
        allowed(now),
      );
      const again = await errorOf(operation.run(store, now));
      check(`called again: ${show(again)}`, again === undefined);
      now = operation.after(now);
      const found = await valuesOf(store);
      check(`after the second call: ${show(JSON.stringify(found))}`, sameValue(found, now));
      await store.close();
    }
    await using other = this.#options.open(directory);
    const found = await valuesOf(other);
    const late = isUnknown(error) && sameValue(found, operation.after(now));
    check(`opened again: ${show(JSON.stringify(found))}`, late || sameValue(found, now));
    await other.append({ x: bytes("!") });
  }

  #nextKind(call: DiskCall): FaultKind {
    const possible = kinds.filter(({ code }) => canFail(call, code));
    return possible[this.#faults % possible.length] as FaultKind;
  }

  #killed(directory: string): string {
    const copy = join(this.#options.root, "killed");
    fs.rmSync(copy, { recursive: true, force: true });
    fs.cpSync(directory, copy, { recursive: true });
    for (const folder of this.#options.lockFolders ?? []) {
      fs.rmSync(join(copy, folder), { recursive: true, force: true });
    }
    return copy;
  }

  /** Files that should be gone. If all calls from one on failed, some could not be removed. */
  #leftIn(directory: string, isLasting: boolean): string[] {
    const { passing, lockFolders = [] } = this.#options;
    const names = fs.readdirSync(directory, { recursive: true }) as string[];
    return names.filter(
      (name) =>
        lockFolders.some((folder) => name.startsWith(`${folder}/`)) ||
        (!isLasting && passing?.test(name)),
    );
  }
}

/** How far the clocks advance at each reading. */
const TICK_MS = 0.002;

async function errorOf(work: Promise<unknown>): Promise<unknown> {
  const [outcome] = await Promise.allSettled([work]);
  return outcome.status === "rejected" ? (outcome.reason ?? "nothing") : undefined;
}

/**
 * Checks that the failure is not reported as damage: the error has to name the system's error, and what
 * to do.
 */
function checkError(error: unknown, code: string, check: Check): void {
  // The lock's own file could not be read.
  if (isPartdError(error, "ERR_PARTD_LOCK") && error.message.includes("was lost")) return;
  check(`rejects with ${show(error)}`, isPartdError(error, "ERR_PARTD_IO"));
  let cause: unknown = error;
  while (cause instanceof Error && (cause as NodeJS.ErrnoException).code !== code)
    cause = cause.cause;
  check(`an error without its cause: ${show(error)}`, cause instanceof Error);
}

/**
 * Whether a store may hold `found` after an operation, which rejected with `error` if that is given.
 */
function isAllowed(
  found: Values,
  before: Values,
  { after, onFailure = "nothing" }: DiskOperation,
  error: unknown,
): boolean {
  const done = after(before);
  if (error === undefined) return sameValue(found, done);
  if (isUnknown(error) || onFailure === "nothing or all") {
    return sameValue(found, before) || sameValue(found, done);
  }
  if (onFailure === "nothing") return sameValue(found, before);
  return Object.keys(before).every((key) => found[key] === before[key] || found[key] === done[key]);
}

function isUnknown(error: unknown): boolean {
  return error instanceof Error && error.message.includes("is not known");
}

function openDescriptors(): string[] {
  const folder = "/proc/self/fd";
  if (!fs.existsSync(folder)) return [];
  return fs.readdirSync(folder).map((fd) => {
    try {
      return `${fd} ${fs.readlinkSync(`${folder}/${fd}`)}`;
    } catch {
      return "the folder itself";
    }
  });
}

/** Which calls can fail with which code. */
function canFail({ name, changes }: DiskCall, code: string): boolean {
  switch (code) {
    case "EMFILE":
      return /^(open|opendir|readdir)$/.test(name);
    case "ENOSPC":
    case "EDQUOT":
      return changes && !/^(unlink|rmdir|rm|utimes|ftruncate|truncate)$/.test(name);
    case "EACCES":
      return /^(open|opendir|readdir|exists|mkdir|link|rename|unlink|rmdir|rm|stat|lstat|utimes)$/.test(
        name,
      );
    case "EROFS":
      return changes;
    default:
      return true;
  }
}
