import { createHash, randomBytes } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

/**
 * A file name that says which process it belongs to: `<machine>.<pid>.<start>.<random>`, where the
 * machine is a digest of its boot and, on Linux, of the namespace that process ids are numbers of.
 */
export function newToken(): string {
  self ??= `${machine()}.${process.pid}.${startOf(process.pid) ?? "0"}`;
  return `${self}.${randomBytes(6).toString("hex")}`;
}

/**
 * Whether the process that a token was made by is known to be gone. Of one on another machine, in
 * another container or from before a reboot nothing is known.
 */
export function isDead(token: string): boolean {
  const match = TOKEN.exec(token);
  if (!match || match[1] !== machine()) return false;
  const pid = Number(match[2]);
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return true;
  }
  const stat = statOf(pid);
  if (!stat) return false; // It is there, and another user's.
  // A process that was killed and whose parent has not asked for its status is gone once its last
  // thread is: until then a thread may still be in the middle of a write.
  if (/^[ZX]$/.test(stat.state) && stat.threads <= 1) return true;
  return stat.start !== match[3]; // The number went to another process.
}

/** The process id in a token, for messages. */
export function pidOf(token: string): string {
  return TOKEN.exec(token)?.[2] ?? "unknown";
}

export const TOKEN = /^([0-9a-f]{12})\.(\d+)\.(\d+)\.[0-9a-f]{12}$/;

let self: string | undefined;
let machineDigest: string | undefined;

function machine(): string {
  machineDigest ??= createHash("sha256")
    .update(`${read("/proc/sys/kernel/random/boot_id") ?? ""} ${namespace()} ${hostPart()}`)
    .digest("hex")
    .slice(0, 12);
  return machineDigest;
}

/** Where there is no boot id, the host's name has to do. */
function hostPart(): string {
  return read("/proc/sys/kernel/random/boot_id") ? "" : `${process.platform} ${hostname()}`;
}

function namespace(): string {
  try {
    return readlinkSync("/proc/self/ns/pid");
  } catch {
    return "";
  }
}

/** When a process started, in a form that tells it from a later one of the same number. */
function startOf(pid: number): string | undefined {
  return statOf(pid)?.start;
}

function statOf(pid: number): { state: string; threads: number; start: string } | undefined {
  const text = read(`/proc/${pid}/stat`);
  if (!text) return undefined;
  // The name of the program, in parentheses, may hold anything.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0] ?? "", threads: Number(fields[17]), start: fields[19] ?? "" };
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined;
  }
}
