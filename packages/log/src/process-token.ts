import { randomBytes } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";

/**
 * Names the running process so that others on this machine can tell whether it still runs: its id,
 * when it was started, the boot and the process namespace in which that is meant.
 */
export function processToken(): string {
  own ??= [process.pid, startOf(process.pid) ?? 0, namespace(), boot()].join("-");
  return own;
}

/** A token for one of several owners within this process. */
export function uniqueToken(): string {
  return `${processToken()}-${randomBytes(6).toString("hex")}`;
}

/**
 * Whether the process that a token names may still run. A process of another namespace (another
 * container) cannot be seen from here and counts as running until the machine is booted.
 */
export function mayRun(token: string): boolean {
  const [pid, start, itsNamespace, itsBoot] = token.split("-");
  if (itsBoot !== boot()) return false;
  if (itsNamespace !== namespace()) return true;
  try {
    process.kill(Number(pid), 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  const now = startOf(Number(pid));
  return now === undefined || start === "0" || now === start;
}

let own: string | undefined;
let bootId: string | undefined;
let namespaceId: string | undefined;

/** Ticks since boot, field 22 of `/proc/PID/stat`; the command before it may hold anything. */
function startOf(pid: number): string | undefined {
  const stat = attempt(() => readFileSync(`/proc/${pid}/stat`, "latin1"));
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  // A zombie waits for its parent only, once the last of its threads has ended its system call.
  return fields?.[0] === "Z" && Number(fields[17]) <= 1 ? "ended" : fields?.[19];
}

function boot(): string {
  bootId ??=
    attempt(() => readFileSync("/proc/sys/kernel/random/boot_id", "latin1").slice(0, 8)) ?? "0";
  return bootId;
}

function namespace(): string {
  namespaceId ??= attempt(() => /\d+/.exec(readlinkSync("/proc/self/ns/pid"))?.[0]) ?? "0";
  return namespaceId;
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined; // Not Linux: the process id alone has to do.
  }
}
