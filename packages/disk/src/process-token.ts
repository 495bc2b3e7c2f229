import { randomBytes } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";

/**
 * Names the running process so that others on this machine can tell whether it still runs:
 * `<pid>-<start>-<namespace>-<boot>`, where the start is in ticks since boot, the namespace is the
 * number of the one that process ids are counted in, and the boot is the first 8 digits of its id.
 * Each is 0 where it cannot be known: only Linux tells more than the process id.
 */
export function processToken(): string {
  own ??= [process.pid, ownStart(), namespace(), boot()].join("-");
  return own;
}

/** A token for one of several owners within this process, of which {@link isToken} is true. */
export function uniqueToken(): string {
  return `${processToken()}-${randomBytes(6).toString("hex")}`;
}

/**
 * - `running`: as far as can be seen. Without `/proc`, the process id may be another's by now;
 * - `ended`: it is certainly gone;
 * - `hidden`: it belongs to another process namespace (another container) under this kernel;
 * - `unknown`: it belongs to another boot of this machine, or to another machine, or is no token.
 */
export type ProcessState = "running" | "ended" | "hidden" | "unknown";

/** What has become of the process that a token names. */
export function stateOf(token: string): ProcessState {
  const [, pid, start, itsNamespace, itsBoot] = PARTS.exec(token) ?? [];
  if (pid === undefined || itsBoot !== boot()) return "unknown";
  if (itsNamespace !== namespace()) return "hidden";
  try {
    process.kill(Number(pid), 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return "ended";
  }
  const status = statusOf(Number(pid));
  if (!status) return "running"; // Another user's, or not Linux.
  // A process that was killed and whose parent has not asked for its status is gone once its last
  // thread is: until then a thread may still be in the middle of a write.
  if (/^[ZX]$/.test(status.state) && status.threads <= 1) return "ended";
  return start === "0" || status.start === start ? "running" : "ended"; // Of the same number.
}

/** Whether `text` is what {@link uniqueToken} makes, in whichever process. */
export function isToken(text: string): boolean {
  return PARTS.exec(text)?.[5] !== undefined;
}

/** The process id in a token, for messages. */
export function pidOf(token: string): string {
  return PARTS.exec(token)?.[1] ?? "unknown";
}

const PARTS = /^(\d+)-(\d+)-(\d+)-([0-9a-f]+)(?:-([0-9a-f]{12}))?$/;

let own: string | undefined;
let bootId: string | undefined;
let namespaceId: string | undefined;

interface Status {
  readonly state: string;
  readonly threads: number;
  readonly start: string;
}

function statusOf(pid: number): Status | undefined {
  try {
    return parsed(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return undefined;
  }
}

/** From `/proc/PID/stat`: fields 3, 20 and 22. */
function parsed(text: string): Status {
  // The name of the program, in parentheses, may hold anything.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0] ?? "", threads: Number(fields[17]), start: fields[19] ?? "0" };
}

function ownStart(): string {
  const text = ifThere(() => readFileSync("/proc/self/stat", "latin1"));
  return text ? parsed(text).start : "0";
}

function boot(): string {
  bootId ??=
    ifThere(() => readFileSync("/proc/sys/kernel/random/boot_id", "latin1").slice(0, 8)) ?? "0";
  return bootId;
}

function namespace(): string {
  namespaceId ??= ifThere(() => /\d+/.exec(readlinkSync("/proc/self/ns/pid"))?.[0]) ?? "0";
  return namespaceId;
}

/** One that is out of files for a moment must not take itself for one on another system for good. */
function ifThere<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (/^(EMFILE|ENFILE|ENOMEM)$/.test(String((error as NodeJS.ErrnoException).code))) throw error;
    return undefined;
  }
}
