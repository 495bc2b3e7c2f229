import {
  chmod,
  link,
  lstat,
  mkdir,
  mkdtemp,
  open,
  rename,
  rm,
  rmdir,
  unlink,
} from "node:fs/promises";
import type { Server as HttpServer } from "node:http";
import { type AddressInfo, connect, type Server } from "node:net";
import { basename, dirname, join, sep } from "node:path";
import { PartdError } from "@partd/core";
import { type Address, LONGEST_PATH } from "../protocol/address.js";

/**
 * Begins to listen.
 *
 * @returns removes what is left of the address in the file system.
 * @throws `ERR_PARTD_IO` where the address is taken.
 */
export async function listenOn(http: HttpServer, target: Address): Promise<() => Promise<void>> {
  if (target.kind === "ipc") return listenOnFile(http, target.path);
  const { host, port } = target;
  // node:cluster would share the port among workers, but each worker serves its own store.
  await listen(http, { host, port, exclusive: true }).catch((cause: Error) => {
    throw new PartdError("ERR_PARTD_IO", `Cannot listen on ${host}:${port}: ${cause.message}.`, {
      cause,
      address: `${target.kind}://${host}:${port}`,
    });
  });
  return async () => {};
}

/** The address that clients use: with the port that was picked, and the full path. */
export function addressOf(target: Address, http: HttpServer): string {
  if (target.kind === "ipc") return `ipc://${target.path}`;
  const { port } = http.address() as AddressInfo;
  const host = target.host.includes(":") ? `[${target.host}]` : target.host;
  return `${target.kind}://${host}:${port}`;
}

/**
 * Listens on a Unix-domain socket at `path` that only this user can open. It replaces the socket of
 * a dead server; of several servers that try so at once, one succeeds.
 *
 * The socket is made in a directory that only this user can enter, and is linked to its path once
 * it has its permissions: at no moment could another user connect. Changing the umask instead would
 * affect all threads of the process.
 */
async function listenOnFile(server: Server, path: string): Promise<() => Promise<void>> {
  if (process.platform === "win32") {
    await listen(server, { path, exclusive: true });
    return async () => {};
  }
  let directory: string | undefined;
  try {
    directory = await mkdtemp(`${dirname(path)}${sep}.`);
    const hidden = join(directory, "s");
    await listenIn(server, directory, hidden);
    await chmod(hidden, 0o600);
    const { ino } = await lstat(hidden);
    await alone(path, async () => {
      if (await hasServer(path)) throw taken(path);
      await unlink(path).catch(ignoreMissing);
      await link(hidden, path);
    });
    return () =>
      alone(path, async () => {
        const now = await lstat(path).catch(() => undefined);
        if (now?.ino === ino) await unlink(path);
      }).catch(() => {}); // Then a stale socket stays, which the next server replaces.
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

/**
 * Listens at `hidden`, in `directory`. That path may be longer than a socket's can be; Linux takes
 * a shorter one through the directory's descriptor.
 */
async function listenIn(server: Server, directory: string, hidden: string): Promise<void> {
  if (Buffer.byteLength(hidden) <= LONGEST_PATH) {
    await listen(server, { path: hidden, exclusive: true });
    return;
  }
  if (process.platform !== "linux") {
    throw new Error(`the path leaves no room for a hidden socket; shorten ${dirname(directory)}`);
  }
  const handle = await open(directory);
  try {
    await listen(server, { path: `/proc/self/fd/${handle.fd}/s`, exclusive: true });
  } finally {
    await handle.close();
  }
}

/** Whether a server listens at `path`. */
async function hasServer(path: string): Promise<boolean> {
  const found = await lstat(path).catch(() => undefined);
  if (!found) return false;
  if (found.isSocket()) return answers(path);
  throw new PartdError(
    "ERR_PARTD_IO",
    `${path} is there already and is no socket; choose another path.`,
    { path },
  );
}

function taken(path: string): PartdError {
  return new PartdError(
    "ERR_PARTD_IO",
    `A server already listens on ${path}; stop it, or choose another path than ${basename(path)}.`,
    { path },
  );
}

/** How long another process may take for its step; it takes a millisecond. */
const STALE_MS = 5_000;
const WAIT_MS = 5;

/**
 * Runs `step` while no other server changes what is at `path`: a directory beside it is the lock.
 * One that stands unchanged for 5 seconds, by our own clock, was left by a process that died.
 */
async function alone(path: string, step: () => Promise<void>): Promise<void> {
  const lock = `${path}.lock`;
  let seen: { readonly ino: number; readonly since: number } | undefined;
  for (;;) {
    try {
      await mkdir(lock, { mode: 0o700 });
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    const found = await lstat(lock).catch(() => undefined);
    const now = performance.now();
    if (!found || found.ino !== seen?.ino) seen = found && { ino: found.ino, since: now };
    else if (now - seen.since > STALE_MS) await breakLock(lock, found.ino);
    await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
  }
  try {
    await step();
  } finally {
    await rmdir(lock).catch(ignoreMissing);
  }
}

/** Moves the lock away first, so that of several that break it none removes a newer one. */
async function breakLock(lock: string, ino: number): Promise<void> {
  const aside = `${lock}.${process.pid}.${ino}`;
  await rename(lock, aside).catch(ignoreMissing);
  await rmdir(aside).catch(ignoreMissing);
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOENT") throw error;
}

/** Whether someone listens on the socket. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED" || error.code === "ENOENT") resolve(false);
      else if (error.code === "EAGAIN")
        resolve(true); // Its queue is full: it lives.
      else reject(error);
    });
  });
}

function listen(server: Server, options: Parameters<Server["listen"]>[0]): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(options, () => {
      server.off("error", reject);
      resolve();
    });
  });
}
