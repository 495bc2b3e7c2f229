import { randomBytes } from "node:crypto";
import type { Stats } from "node:fs";
import {
  chmod,
  link,
  lstat,
  mkdir,
  mkdtemp,
  open,
  readdir,
  rename,
  rm,
  rmdir,
  unlink,
} from "node:fs/promises";
import { connect, type Server } from "node:net";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { PartdError } from "@partd/core";
import { LONGEST_PATH } from "../protocol/address.js";

/**
 * Listens on a Unix-domain socket at `path` that only this user can open, and replaces the socket of a
 * dead server.
 *
 * The socket is created in a directory that only this user can enter, and gets its path once it has its
 * permissions, so another user can connect at no moment. Changing the umask would affect all threads of
 * the process.
 *
 * @returns a function that removes the socket. Call it before the server stops listening: while the
 *   socket answers, no other server replaces it.
 */
export async function listenOnFile(
  server: Server,
  path: string,
  silentMs?: number,
): Promise<() => Promise<void>> {
  if (process.platform === "win32") {
    await listen(server, { path, exclusive: true });
    return async () => {};
  }
  let directory: string | undefined;
  try {
    const made = await listenHidden(server, path);
    directory = made.directory;
    await chmod(made.socket, 0o600);
    const { ino, dev } = await lstat(made.socket);
    await publish(made.socket, path, silentMs);
    await clearHidden(path);
    return async () => {
      const now = await lstat(path).catch(() => undefined);
      if (now?.ino === ino && now.dev === dev) await unlink(path).catch(() => {});
    };
  } catch (cause) {
    server.close();
    if (cause instanceof PartdError) throw cause;
    throw new PartdError("ERR_PARTD_IO", `Cannot listen on ${path}: ${(cause as Error).message}.`, {
      path,
      cause,
    });
  } finally {
    if (directory) await rm(directory, { recursive: true, force: true });
  }
}

/** Listens in a directory that only this user can enter. */
async function listenHidden(
  server: Server,
  path: string,
): Promise<{ readonly directory: string; readonly socket: string }> {
  for (;;) {
    const directory = await mkdtemp(hiddenPrefix(path));
    // When the server closes, Node removes the name that it was given, by then perhaps through a
    // descriptor of another directory: choose a name that is unique.
    const isShort = Buffer.byteLength(join(directory, "s")) <= LONGEST_PATH;
    const name = isShort ? "s" : randomBytes(8).toString("hex");
    try {
      await withShortPath(directory, name, (short) =>
        listen(server, { path: short, exclusive: true }),
      );
      return { directory, socket: join(directory, name) };
    } catch (error) {
      const isCleared = (await lstat(directory).catch(() => undefined)) === undefined;
      if (isCleared) continue; // Another server has taken the folder for that of a killed server.
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }
}

/** Begins to listen. */
export function listen(server: Server, options: Parameters<Server["listen"]>[0]): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(options, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

/**
 * Gives the listening socket at `hidden` the name `path`, in place of a dead server's socket. If
 * several servers do this at once, one succeeds.
 *
 * A server that is suspended between any two steps does no harm when it resumes: its claim is a name of
 * its socket, and the only step that replaces anything moves that name. Another server that passes it
 * over removes the name first.
 *
 * @param silentMs after how long a claim of a living process is passed over.
 * @throws `ERR_PARTD_IO` if a server listens there, or if `path` is not a socket.
 */
async function publish(hidden: string, path: string, silentMs = SILENT_MS): Promise<void> {
  const claim = new Claim(hidden, path, silentMs);
  for (;;) {
    try {
      const own = await claim.take();
      const found = await look(path);
      if (found === "answers") throw taken(path);
      await (found === "refuses" ? rename(own, path) : link(own, path));
      return;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // The claim was passed over, or another program was faster.
      if (code !== "ENOENT" && code !== "EEXIST") throw error;
      await lstat(hidden);
    } finally {
      await claim.withdraw().catch(() => {}); // Other servers pass it over.
    }
  }
}

/** The beginning of the paths of the folders in which servers create the socket for `path`. */
function hiddenPrefix(path: string): string {
  return join(dirname(path), `.${basename(path)}.`);
}

/**
 * Removes the folders that killed servers left. It may remove a new folder that is still empty; the
 * server then makes another before it listens.
 */
async function clearHidden(path: string): Promise<void> {
  const prefix = basename(hiddenPrefix(path));
  for (const name of await readdir(dirname(path)).catch(() => [])) {
    if (!name.startsWith(prefix) || !SUFFIX.test(name.slice(prefix.length))) continue;
    const folder = join(dirname(path), name);
    try {
      checkOwn(folder, await lstat(folder));
      for (const socket of await readdir(folder)) {
        if ((await withShortPath(folder, socket, look)) !== "refuses") break;
        await unlink(join(folder, socket));
      }
      await rmdir(folder);
    } catch {
      // It is in use, or it is another user's.
    }
  }
}

/**
 * Calls `use` with a path of `name` in `directory` that is short enough for a socket. On Linux a path
 * through the directory's descriptor is.
 */
async function withShortPath<T>(
  directory: string,
  name: string,
  use: (path: string) => Promise<T>,
): Promise<T> {
  const path = join(directory, name);
  if (Buffer.byteLength(path) <= LONGEST_PATH) return use(path);
  if (process.platform !== "linux") {
    throw new Error(`the path leaves no room for a hidden socket; shorten ${dirname(directory)}`);
  }
  const handle = await open(directory);
  try {
    return await use(`/proc/self/fd/${handle.fd}/${name}`);
  } finally {
    await handle.close();
  }
}

/**
 * The right to change what is at a path. A claim is a link to its owner's socket in the folder
 * `path.lock`, so the system itself tells whether the owner lives. A claim counts once it is the only
 * one; of several, the first in sort order stays and waits. Names of claims are never reused, so
 * removing a claim that was found dead cannot hit a newer one.
 */
class Claim {
  readonly #hidden: string;
  readonly #path: string;
  readonly #folder: string;
  readonly #silentMs: number;
  #name: string | undefined;
  /** When each other claim was first seen, and when its owner was last checked. */
  readonly #others = new Map<string, { readonly since: number; asked: number }>();

  constructor(hidden: string, path: string, silentMs: number) {
    this.#hidden = hidden;
    this.#path = path;
    this.#folder = `${path}.lock`;
    this.#silentMs = silentMs;
  }

  /**
   * Waits until the claim is the only one. @returns its path, which disappears if it is passed over.
   */
  async take(): Promise<string> {
    for (;;) {
      const names = await this.#names();
      if (this.#name !== undefined && !names.delete(this.#name)) this.#name = undefined;
      for (const name of names) if (await this.#isOver(name)) names.delete(name);
      const own = this.#name;
      if (own === undefined && names.size === 0) {
        await this.#place(); // It counts if the next look finds no other.
        continue;
      }
      if (own !== undefined && names.size === 0) return join(this.#folder, own);
      if (own !== undefined && [...names].some((name) => name < own)) await this.withdraw();
      await sleep(WAIT_MS);
    }
  }

  async withdraw(): Promise<void> {
    if (this.#name !== undefined) await unlink(join(this.#folder, this.#name)).catch(ignoreMissing);
    this.#name = undefined;
    await rmdir(this.#folder).catch(() => {}); // Others have claims in it.
  }

  async #names(): Promise<Set<string>> {
    const found = await lstat(this.#folder).catch(ignoreMissing);
    if (found) checkOwn(this.#folder, found);
    const names = found ? await readdir(this.#folder).catch(ignoreMissing) : [];
    return new Set(names?.filter((name) => CLAIM.test(name)));
  }

  async #place(): Promise<void> {
    await mkdir(this.#folder, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
    const name = `${dirname(this.#hidden).slice(-6)}-${randomBytes(8).toString("hex")}`;
    await link(this.#hidden, join(this.#folder, name));
    this.#name = name;
  }

  /** Whether a claim no longer counts. If so, it is removed. */
  async #isOver(name: string): Promise<boolean> {
    const now = performance.now();
    const seen = this.#others.get(name) ?? { since: now, asked: Number.NEGATIVE_INFINITY };
    this.#others.set(name, seen);
    const path = join(this.#folder, name);
    const isDue = now - seen.asked >= ASK_MS;
    if (isDue) seen.asked = now;
    const found = isDue ? await withShortPath(this.#folder, name, look).catch(() => "answers") : "";
    if (found === "refuses")
      await removeHidden(path, `${hiddenPrefix(this.#path)}${name.slice(0, 6)}`);
    else if (found !== "nothing" && now - seen.since <= this.#silentMs) return false;
    await unlink(path).catch(ignoreMissing);
    return true;
  }
}

/** Removes the folder in which the dead owner of a claim created its socket. */
async function removeHidden(claim: string, folder: string): Promise<void> {
  try {
    const { ino } = await lstat(claim);
    for (const name of await readdir(folder)) {
      const path = join(folder, name);
      if ((await lstat(path)).ino === ino) await unlink(path);
    }
    await rmdir(folder);
  } catch {
    // It is gone, or has files of others.
  }
}

/** @throws if the folder is another user's, who could put anything there. */
function checkOwn(folder: string, found: Stats): void {
  if (found.isDirectory() && found.uid === process.getuid?.()) return;
  throw new PartdError(
    "ERR_PARTD_IO",
    `${folder} is there already and is no folder of this user; remove it, or choose another path.`,
    { path: folder },
  );
}

/**
 * What is at a path: nothing, a socket that accepts connections, or one that refuses them.
 *
 * @throws `ERR_PARTD_IO` if it is not a socket.
 */
async function look(path: string): Promise<"nothing" | "answers" | "refuses"> {
  const found = await lstat(path).catch(ignoreMissing);
  if (!found) return "nothing";
  if (found.isSocket()) return answerOf(path);
  throw new PartdError(
    "ERR_PARTD_IO",
    `${path} is there already and is not a socket; choose another path.`,
    { path },
  );
}

function answerOf(path: string): Promise<"nothing" | "answers" | "refuses"> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve("answers");
    });
    socket.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED") resolve("refuses");
      else if (error.code === "ENOENT") resolve("nothing");
      else if (error.code === "EAGAIN")
        resolve("answers"); // Its queue is full, so a server listens.
      else reject(error);
    });
  });
}

function taken(path: string): PartdError {
  return new PartdError(
    "ERR_PARTD_IO",
    `A server already listens on ${path}; stop it, or choose another path than ${basename(path)}.`,
    { path },
  );
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error;
}

/** How long another process may take for its steps, which take a few milliseconds. */
const SILENT_MS = 5_000;
const WAIT_MS = 5;
/** How often a claim's owner is checked, by a connection each time. */
const ASK_MS = 50;
/** The suffix that `mkdtemp` adds. */
const SUFFIX = /^[A-Za-z0-9]{6}$/;
/** The suffix of the folder with the owner's socket, and a number. */
const CLAIM = /^[A-Za-z0-9]{6}-[0-9a-f]{16}$/;
