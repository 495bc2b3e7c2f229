import { createHash, randomBytes } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import { isMainThread, threadId } from "node:worker_threads";

/**
 * Names the running process, so that others on this machine can tell whether it still runs:
 * `<pid>-<start>-<namespace>-<boot>`. The start counts ticks since boot; the namespace is the
 * number of the pid namespace; the boot is the first 8 digits of the boot id, or of a hash of the
 * host name if the system has no boot id. Start and namespace are 0 if unknown: only Linux tells
 * more than the process id.
 */
export function processToken(): string {
  ownProcess ??= [process.pid, ownStart(), namespace(), boot()].join("-");
  return ownProcess;
}

/**
 * A token for one of several owners in this thread, for which {@link isToken} is true. A worker's
 * has `-<thread>.<start>` behind the process: the system's number of the thread, and when the
 * thread started; `0.<Node's thread id>` if these are unknown.
 */
export function uniqueToken(): string {
  ownThread ??= isMainThread ? processToken() : `${processToken()}-${threadOf()}`;
  return `${ownThread}-${randomBytes(6).toString("hex")}`;
}

/**
 * - `running`: it seems to run. If its start is unknown, another process may have its id by now;
 * - `ended`: it is certainly gone;
 * - `hidden`: it is in another pid namespace (another container), or that is unknown;
 * - `unknown`: it is of another boot or another machine, or is not a token.
 */
export type OwnerState = "running" | "ended" | "hidden" | "unknown";

/** The state of the thread or process that a token names. */
export function stateOf(token: string): OwnerState {
  const match = PARTS.exec(token);
  if (!match) return "unknown";
  const [, pid = "", start, itsNamespace, itsBoot, thread, threadStart] = match;
  if (itsBoot !== boot() || (isLinux && itsBoot === "0")) return "unknown";
  if (itsNamespace !== namespace() || (isLinux && itsNamespace === "0")) return "hidden";
  try {
    process.kill(Number(pid), 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return "ended";
  }
  if (!isProcOurs()) return "running";
  const status = statusOf(pid);
  if (!status) return "running"; // Another user's process, or not Linux.
  // A killed process whose parent has not reaped it is gone only with its last thread: until then a
  // thread may be in the middle of a write.
  if (/^[ZX]$/.test(status.state) && status.threads <= 1) return "ended";
  if (start !== "0" && status.start !== start) return "ended"; // Another process with the same id.
  if (thread === undefined || thread === "0") return "running";
  return isThreadThere(pid, thread, threadStart) ? "running" : "ended";
}

/** Whether `text` is a result of {@link uniqueToken}, in any process. */
export function isToken(text: string): boolean {
  return PARTS.exec(text)?.[7] !== undefined;
}

/** The process id in a token, for messages. */
export function pidOf(token: string): string {
  return PARTS.exec(token)?.[1] ?? "unknown";
}

/**
 * Whether a token names a worker. After a worker has ended, a write of it may still be under way in
 * the process's thread pool while the process is being killed.
 */
export function isWorkerToken(token: string): boolean {
  return PARTS.exec(token)?.[5] !== undefined;
}

const PARTS = /^(\d+)-(\d+)-(\d+)-([0-9a-f]+)(?:-(\d+)\.(\d+))?(?:-([0-9a-f]{12}))?$/;
const isLinux = process.platform === "linux" || process.platform === "android";

let ownProcess: string | undefined;
let ownThread: string | undefined;
let bootId: string | undefined;
let namespaceId: string | undefined;
let procIsOurs: boolean | undefined;

interface Status {
  readonly state: string;
  readonly threads: number;
  readonly start: string;
}

function statusOf(path: string): Status | undefined {
  try {
    return parsed(readFileSync(`/proc/${path}/stat`, "latin1"));
  } catch {
    return undefined;
  }
}

/** Parses fields 3, 20 and 22 of `/proc/PID/stat`. */
function parsed(text: string): Status {
  // The program's name, in parentheses, may contain anything.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0] ?? "", threads: Number(fields[17]), start: fields[19] ?? "0" };
}

function isThreadThere(pid: string, thread: string, start: string | undefined): boolean {
  try {
    const status = parsed(readFileSync(`/proc/${pid}/task/${thread}/stat`, "latin1"));
    return status.start === start && !/^[ZX]$/.test(status.state);
  } catch (error) {
    return !/^(ENOENT|ESRCH)$/.test(String((error as NodeJS.ErrnoException).code));
  }
}

function ownStart(): string {
  const text = ifThere(() => readFileSync("/proc/self/stat", "latin1"));
  return text ? parsed(text).start : "0";
}

/** The calling thread reads the link itself, so that it names that thread. */
function threadOf(): string {
  const task = ifThere(() => /^\d+\/task\/(\d+)$/.exec(readlinkSync("/proc/thread-self"))?.[1]);
  const start = task && isProcOurs() ? statusOf(`self/task/${task}`)?.start : undefined;
  return task && start ? `${task}.${start}` : `0.${threadId}`;
}

function boot(): string {
  bootId ??= isLinux
    ? (ifThere(() => readFileSync("/proc/sys/kernel/random/boot_id", "latin1").slice(0, 8)) ?? "0")
    : createHash("sha256").update(hostname()).digest("hex").slice(0, 8);
  return bootId;
}

function namespace(): string {
  namespaceId ??= ifThere(() => /\d+/.exec(readlinkSync("/proc/self/ns/pid"))?.[0]) ?? "0";
  return namespaceId;
}

/**
 * Whether `/proc` shows our own pid namespace. A process in a namespace of its own may still see
 * the host's `/proc`, where its numbers belong to others.
 */
function isProcOurs(): boolean {
  procIsOurs ??= ifThere(() => readlinkSync("/proc/self")) === String(process.pid);
  return procIsOurs;
}

/** EMFILE here is temporary: do not cache the value as missing. */
function ifThere<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (/^(EMFILE|ENFILE|ENOMEM)$/.test(String((error as NodeJS.ErrnoException).code))) throw error;
    return undefined;
  }
}
