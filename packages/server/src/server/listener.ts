import { chmod, link, lstat, mkdtemp, rm, unlink } from "node:fs/promises";
import { connect, type Server } from "node:net";
import { basename, dirname, join, sep } from "node:path";
import { PartdError } from "@partd/core";

/**
 * Listens on a Unix-domain socket that is the user's alone, at `path`. What a dead server left
 * there is taken over.
 *
 * The socket is made in a directory that nobody else can enter, and appears at its path with its
 * permissions as they should be: there is no moment at which another user could connect, and the
 * process's umask, which belongs to all of its threads, is left alone.
 *
 * @returns removes the socket again, unless it is no longer ours.
 * @throws `ERR_PARTD_IO` where a live server listens, or where something else stands.
 */
export async function listenOnFile(server: Server, path: string): Promise<() => Promise<void>> {
  if (process.platform === "win32") {
    await listen(server, path);
    return async () => {};
  }
  let directory: string | undefined;
  try {
    directory = await mkdtemp(`${dirname(path)}${sep}.`);
    const hidden = join(directory, "s");
    await listen(server, hidden);
    await chmod(hidden, 0o600);
    const { ino } = await lstat(hidden);
    for (;;) {
      try {
        await link(hidden, path);
        break;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
        await removeStale(path);
      }
    }
    return async () => {
      const now = await lstat(path).catch(() => undefined);
      if (now?.ino === ino) await unlink(path).catch(() => {});
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

/** Removes the socket of a server that is gone. */
async function removeStale(path: string): Promise<void> {
  const before = await lstat(path).catch(() => undefined);
  if (!before) return;
  if (!before.isSocket()) {
    throw new PartdError(
      "ERR_PARTD_IO",
      `${path} is there already and is no socket; choose another path.`,
      { path },
    );
  }
  if (await answers(path)) {
    throw new PartdError(
      "ERR_PARTD_IO",
      `A server already listens on ${path}; stop it, or choose another path than ${basename(path)}.`,
      { path },
    );
  }
  // Another server may have taken it over while we asked.
  const now = await lstat(path).catch(() => undefined);
  if (now?.ino === before.ino) await unlink(path).catch(() => {});
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

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => {
      server.off("error", reject);
      resolve();
    });
  });
}
