import { readFileSync, type Stats } from "node:fs";
import { errnoOf, pause, runNow, type Steps } from "./disk.js";
import { ioError } from "./io-error.js";
import type { Layout } from "./layout.js";
import type { Parts } from "./parts.js";

/** A key's file, open. */
export interface OpenFile {
  readonly key: string;
  readonly fd: number;
  readonly aside: boolean;
  readonly readOnly: boolean;
  /** Length in bytes, -1 while it has not been asked for. Ours to know as long as we hold the lock. */
  length: number;
  /** How many use it at present. One in use is not closed. */
  users: number;
  /** The tenure of the lock in which it was last seen to be the file that is there. */
  tenure: number;
  kept: boolean;
}

/**
 * Keeps files open from one operation to the next, because opening and closing costs more than a
 * small write. When full, it goes on with those that it has and takes a new one in only now and
 * then: work that goes round over more keys than can be open would push out each before its turn.
 */
export class OpenFiles {
  readonly #layout: Layout;
  readonly #kept = new Map<string, OpenFile>();
  #most: number;
  #open = 0;
  #tenure = 0;
  #removals = 0;
  #turnedAway = 0;

  /** @param most files to have open at once, 2 or more; less if the process cannot have so many. */
  constructor(layout: Layout, most: number) {
    this.#layout = layout;
    this.#most = most;
  }

  /** How many files may be in use at once, beside those that are kept. */
  get atOnce(): number {
    return Math.max(1, this.#most >> 2);
  }

  /**
   * The lock was taken: what is kept has to be looked at before it is used again. If keys were
   * removed since, it is closed, for it may be a file that is no longer there.
   */
  *beginTenure(removals: number): Steps<void> {
    this.doubt();
    if (removals !== this.#removals) yield* this.closeAll();
    this.#removals = removals;
  }

  /** What is kept has to be looked at before it is used again. */
  doubt(): void {
    this.#tenure++;
  }

  /** We removed keys ourselves, and have forgotten them. */
  sawRemovals(removals: number): void {
    this.#removals = removals;
  }

  /** The file if it is open and can be used at once. */
  at(key: string): OpenFile | undefined {
    const file = this.#kept.get(key);
    return file && file.tenure === this.#tenure ? file : undefined;
  }

  /** Takes over a file that was opened; to be released after its use. */
  adopt(key: string, fd: number): OpenFile {
    return this.#admit({ key, fd, ...fresh, aside: false, tenure: this.#tenure });
  }

  /** Opens a key's file if it is there, for `release` to be called after its use. */
  *take(key: string): Steps<OpenFile | undefined> {
    const kept = yield* this.#revive(key);
    if (kept) return kept;
    const opened = yield* this.#layout.open(key);
    return opened && this.#admit({ key, ...fresh, ...opened, tenure: this.#tenure });
  }

  /** Opens or makes a key's file, whose length is then known; to be released after its use. */
  *takeToWrite(key: string): Steps<OpenFile> {
    let file = yield* this.#revive(key);
    if (file?.readOnly) {
      yield* this.#letGo(file);
      yield* this.release(file);
      file = undefined;
    }
    file ??= this.#admit({
      key,
      ...fresh,
      ...(yield* this.#layout.openOrCreate(key)),
      tenure: this.#tenure,
    });
    if (file.length >= 0) return file;
    try {
      file.length = sizeOf((yield ["fstat", file.fd]) as Stats, this.#layout.path(key, file.aside));
      return file;
    } catch (error) {
      yield* this.release(file);
      throw error;
    }
  }

  *release(file: OpenFile): Steps<void> {
    if (--file.users === 0 && !file.kept) yield* this.#close(file);
  }

  /** Closes a key's file before it is removed or replaced. */
  *forget(key: string): Steps<void> {
    const file = this.#kept.get(key);
    if (file) yield* this.#letGo(file);
  }

  *closeAll(): Steps<void> {
    for (const key of [...this.#kept.keys()]) yield* this.forget(key);
  }

  /**
   * To be run when the process, or the system, has no descriptor left: closes what is not in use,
   * and keeps fewer from now on.
   *
   * @returns whether anything was closed.
   */
  *makeRoom(): Steps<boolean> {
    this.#most = Math.max(2, Math.min(this.#most, this.#open) >> 1);
    let closed = false;
    for (const [key, file] of [...this.#kept]) {
      if (file.users > 0) continue;
      yield* this.forget(key);
      closed = true;
    }
    return closed;
  }

  *#revive(key: string): Steps<OpenFile | undefined> {
    const file = this.#kept.get(key);
    if (!file) return undefined;
    file.users++;
    if (file.tenure === this.#tenure) return file;
    const stats = (yield ["fstat", file.fd]) as Stats;
    if (stats.nlink > 0) {
      file.tenure = this.#tenure;
      file.length = stats.size;
      return file;
    }
    yield* this.#letGo(file);
    yield* this.release(file);
    return undefined;
  }

  #admit(file: OpenFile): OpenFile {
    this.#open++;
    if (this.#kept.has(file.key)) return file; // Another was opened meanwhile.
    if (this.#kept.size >= this.#most - this.atOnce) {
      if (++this.#turnedAway % ADMITTED !== 0) return file;
      const oldest = this.#kept.keys().next().value;
      if (oldest !== undefined) runNow(this.forget(oldest));
    }
    file.kept = true;
    this.#kept.set(file.key, file);
    return file;
  }

  *#letGo(file: OpenFile): Steps<void> {
    if (!file.kept) return;
    this.#kept.delete(file.key);
    file.kept = false;
    if (file.users === 0) yield* this.#close(file);
  }

  *#close(file: OpenFile): Steps<void> {
    this.#open--;
    yield ["close", file.fd];
  }
}

/** Runs steps that open a file, and makes room where there is none. */
export async function withRoom<T>(
  { disk, files, layout }: Pick<Parts, "disk" | "files" | "layout">,
  action: string,
  key: string,
  steps: () => Steps<T>,
): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await disk.run(steps());
    } catch (error) {
      if (!isOutOfFiles(error) || attempt >= ATTEMPTS) {
        throw ioError(action, layout.directory, error, key);
      }
    }
    // If there was nothing to close, others of the process may be about to close theirs.
    if (!(await disk.run(files.makeRoom()))) await pause(attempt * 5);
  }
}

export function isOutOfFiles(error: unknown): boolean {
  const code = errnoOf(error);
  return code === "EMFILE" || code === "ENFILE";
}

/** How many files a store may have open where the user does not say: half of the allowance. */
export function defaultOpenFiles(): number {
  return Math.max(2, Math.min(16_384, allowance() >> 1));
}

/** Descriptors that the process may have. */
function allowance(): number {
  try {
    const limits = readFileSync("/proc/self/limits", "latin1");
    const soft = /^Max open files +(\d+)/m.exec(limits)?.[1];
    return soft === undefined ? 2 ** 16 : Number(soft);
  } catch {
    return 4096; // Not Linux. Node raises the limit as far as it may, on macOS to 10,240 or more.
  }
}

function sizeOf(stats: Stats, path: string): number {
  if (stats.isFile()) return stats.size;
  throw Object.assign(new Error(`${path} is no regular file`), { code: "EFTYPE" });
}

const fresh = { readOnly: false, length: -1, users: 1, kept: false };
/** One in so many new files is kept when there is no room. */
const ADMITTED = 32;
/** How often it is tried to open a file where there is no descriptor, about a second in all. */
export const ATTEMPTS = 20;
