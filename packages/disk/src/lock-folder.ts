import fs from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { errnoOf } from "./system-error.js";
import { isToken, isWorkerToken, type OwnerState, pidOf, stateOf } from "./token.js";
import { closeFile } from "./transfer.js";

/**
 * The folder of a lock. Each file is named for what its owner has or wants, and for the owner's
 * token:
 *
 * - `TOKEN`: holds the lock alone; `shared-TOKEN`: shares it;
 * - `wants-TOKEN`: waits to hold it alone; `waits-TOKEN`: waits to share it;
 * - `over-NAME`: a holder's file while the holder is being passed over (see
 *   {@link LockFolder.passOver});
 * - `fence-TOKEN`: a holder that was passed over and may still run. The next exclusive holder must
 *   make harmless what it may still write.
 *
 * All calls are synchronous: a held lock costs no call, and a waiter makes a few short ones every
 * few milliseconds.
 */
export class LockFolder {
  readonly path: string;
  readonly #staleMs: number;
  readonly #atOnce: number;
  /** Files whose owner is not proved to have ended, and how long they have not changed. */
  #watched = new Map<string, Watched>();
  /** Where the next look begins to judge if there are too many files for one. */
  #next = 0;

  /** @param atOnce how many files one look judges, at 10 µs each. */
  constructor(path: string, staleMs: number, atOnce = 8_192) {
    this.path = path;
    this.#staleMs = staleMs;
    this.#atOnce = atOnce;
  }

  /**
   * Lists the files of owners other than `own`, and removes those of dead waiters. A folder from
   * elsewhere may have very many files: each look judges some of them, so that it is short.
   */
  entries(own: ReadonlySet<string>): LockEntry[] {
    let names: string[];
    try {
      names = fs.readdirSync(this.path);
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error;
      return [];
    }
    const others = names.flatMap((name) => parseName(name) ?? []);
    const entries: LockEntry[] = [];
    const look: Look = { watched: new Map(), states: new Map() };
    const from = others.length > 0 ? this.#next % others.length : 0;
    let removed = 0;
    for (let i = 0; i < others.length; i++) {
      const entry = others[(from + i) % others.length] as LockEntry;
      const { name, role, token } = entry;
      if (own.has(token)) continue;
      const isJudged = role !== "fence" && i < this.#atOnce;
      const abandoned = isJudged ? this.#judge(entry, look) : this.#postpone(name, look);
      if (!abandoned) entries.push(entry);
      else if (!isHarmless(entry)) entries.push({ ...entry, abandoned });
      else if (this.#tryRemove(name)) {
        leftBehind.delete(token);
        removed++;
      }
    }
    this.#next = others.length > this.#atOnce ? from + this.#atOnce - removed : 0;
    this.#watched = look.watched;
    return entries;
  }

  /** Creates a file. Its content tells people what its name tells programs. */
  create(name: string): void {
    const open = () => fs.openSync(join(this.path, name), "w", 0o666);
    let fd: number;
    try {
      fd = open();
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error;
      this.#make();
      fd = open();
    }
    try {
      const text = `process ${process.pid} on ${hostname()} since ${new Date().toISOString()}`;
      const bytes = Buffer.from(text);
      fs.writeSync(fd, bytes, 0, bytes.byteLength, 0);
    } catch {
      // The disk may be full: the name is enough.
    } finally {
      closeFile(fd);
    }
  }

  /** Not with the folders above: they are missing if the data set was moved away. */
  #make(): void {
    try {
      fs.mkdirSync(this.path);
    } catch (error) {
      if (errnoOf(error) !== "EEXIST") throw error; // Another process was faster.
    }
  }

  /** @returns false if the file was missing. */
  remove(name: string): boolean {
    try {
      fs.unlinkSync(join(this.path, name));
      return true;
    } catch (error) {
      if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return false;
      throw error;
    }
  }

  stat(name: string): fs.Stats {
    return fs.statSync(join(this.path, name));
  }

  /**
   * Removes an abandoned holder's file. A holder that is not known to have ended may renew its file
   * at the last moment. So the file first gets another name, under which it cannot be renewed, and
   * gets its own name back if it had been renewed before; the holder then never lost the lock.
   *
   * @returns whether the holder has lost the lock.
   */
  passOver(entry: LockEntry): boolean {
    if (entry.abandoned === "ended" && !isWorkerToken(entry.token)) return this.remove(entry.name);
    const watched = this.#watched.get(entry.name);
    const over = entry.name.startsWith(OVER) ? entry.name : `${OVER}${entry.name}`;
    try {
      if (over !== entry.name) fs.renameSync(join(this.path, entry.name), join(this.path, over));
      if (watched && this.stat(over).mtimeMs !== watched.mtimeMs) {
        fs.renameSync(join(this.path, over), join(this.path, over.slice(OVER.length)));
        return false;
      }
      fs.renameSync(join(this.path, over), join(this.path, `${FENCE}${entry.token}`));
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error; // Another process was faster.
    }
    return true;
  }

  /** Describes the holder and since when it has the lock, for messages. */
  describe(entry: LockEntry): string {
    try {
      const text = readStart(join(this.path, entry.name));
      if (/^process \d+ on [^\n]{1,300}$/.test(text)) return text;
    } catch {
      // The file is gone, or was never written.
    }
    return `process ${pidOf(entry.token)}`;
  }

  /** Whether a file's owner has ended, or has given no sign of life for too long. */
  #judge({ name, role, token }: LockEntry, { watched, states }: Look): Abandoned | undefined {
    if (leftBehind.has(token)) return "ended";
    const owner = token.slice(0, token.lastIndexOf("-"));
    const state = states.get(owner) ?? stateOf(token);
    states.set(owner, state);
    if (state === "ended") return "ended";
    // A waiter's mark only asks others to yield: one of an earlier boot is not worth watching.
    if (isMark(role) && state === "unknown") return "ended";
    const now = performance.now();
    let stats: fs.Stats;
    try {
      stats = this.stat(name);
    } catch {
      return undefined; // It is gone, or the next look will tell.
    }
    const { mtimeMs, ctimeMs } = stats;
    // Nor is one that was not renewed: a program that runs for less than staleMs would always yield to
    // it. If only the clock was set, the waiter soon makes its mark again.
    if (isMark(role) && Date.now() - mtimeMs > this.#staleMs) return "silent";
    const before = this.#watched.get(name);
    if (!before || before.mtimeMs !== mtimeMs || before.ctimeMs !== ctimeMs) {
      watched.set(name, { mtimeMs, ctimeMs, lastLook: now, unchangedMs: 0 });
      return undefined;
    }
    // A pause of our own proves nothing: the owner may have stood still, too.
    const unchangedMs = before.unchangedMs + Math.min(now - before.lastLook, this.#staleMs / 4);
    watched.set(name, { mtimeMs, ctimeMs, lastLook: now, unchangedMs });
    return unchangedMs > this.#staleMs ? "silent" : undefined;
  }

  /** Leaves a file for a later look. */
  #postpone(name: string, { watched }: Look): undefined {
    const before = this.#watched.get(name);
    if (before) watched.set(name, before);
  }

  #tryRemove(name: string): boolean {
    try {
      return this.remove(name);
    } catch {
      return false; // A later look tries again.
    }
  }
}

/** The first 400 bytes, also of a file that is endless, or a named pipe that no one writes to. */
function readStart(path: string): string {
  const fd = fs.openSync(path, fs.constants.O_RDONLY | (fs.constants.O_NONBLOCK ?? 0));
  try {
    const bytes = Buffer.alloc(400);
    return bytes.toString("utf8", 0, fs.readSync(fd, bytes, 0, bytes.length, null));
  } finally {
    closeFile(fd);
  }
}

export type Role = "exclusive" | "shared" | "wants" | "waits" | "fence";
/** Why a file no longer counts: its owner has ended, or was silent for too long. */
type Abandoned = "ended" | "silent";

export interface LockEntry {
  readonly name: string;
  readonly token: string;
  readonly role: Role;
  readonly abandoned?: Abandoned;
}

interface Watched {
  readonly mtimeMs: number;
  readonly ctimeMs: number;
  readonly lastLook: number;
  readonly unchangedMs: number;
}

/** Whether it is the file of a waiter, not of a holder. */
export function isMark(role: Role): boolean {
  return role === "wants" || role === "waits";
}

/**
 * Whether an abandoned file can simply be removed, without passing its owner over: a waiter's, or that of
 * a shared claim of this thread, for which there may never be an exclusive one to do that.
 */
function isHarmless({ role, token }: LockEntry): boolean {
  if (isMark(role)) return true;
  return role === "shared" && leftBehind.has(token);
}

/** What one look finds. */
interface Look {
  readonly watched: Map<string, Watched>;
  /** The state of each owner's process and thread. */
  readonly states: Map<string, OwnerState>;
}

function parseName(name: string): LockEntry | undefined {
  const [, over = "", prefix = "", token = ""] = /^(over-)?([a-z]+-)?(.*)$/.exec(name) ?? [];
  if (!isToken(token)) return undefined;
  const role = prefix === "" ? "exclusive" : ROLES.get(prefix);
  if (!role || (over && role !== "exclusive" && role !== "shared")) return undefined;
  return { name, token, role };
}

/** Tokens of this thread whose claims are over, but whose files could not be removed. */
export const leftBehind = new Set<string>();

export const SHARED = "shared-";
export const WANTS = "wants-";
export const WAITS = "waits-";
const OVER = "over-";
export const FENCE = "fence-";
const ROLES: ReadonlyMap<string, Role> = new Map([
  [SHARED, "shared"],
  [WANTS, "wants"],
  [WAITS, "waits"],
  [FENCE, "fence"],
]);
