import { randomBytes } from "node:crypto";
import { chmod, lstat, mkdtemp, rm, unlink } from "node:fs/promises";
import { createServer, type Server as HttpServer, type ServerOptions } from "node:http";
import { createServer as createTlsServer, type ServerOptions as TlsOptions } from "node:https";
import type { AddressInfo, Server } from "node:net";
import { join } from "node:path";
import { PartdError } from "@partd/core";
import { type Address, LONGEST_PATH } from "../protocol/address.js";
import { clearHidden, hiddenPrefix, publish, withShortPath } from "./socket-file.js";

/**
 * The HTTP server for an address, which does not listen yet.
 *
 * @throws `ERR_PARTD_VALUE` if no client could connect, or each would without TLS.
 */
export function httpServer(
  { kind }: Address,
  tls: TlsOptions | undefined,
  timeouts: ServerOptions,
): HttpServer {
  if (tls && kind !== "wss") {
    throw new PartdError(
      "ERR_PARTD_VALUE",
      `tls is for wss:// addresses; on ${kind}:// nothing would be encrypted and nobody asked for a certificate.`,
    );
  }
  if (kind !== "wss") return createServer(timeouts);
  if (!tls || !(tls.cert || tls.pfx || tls.SNICallback || tls.pskCallback)) {
    throw new PartdError("ERR_PARTD_VALUE", "A wss:// server needs tls: { key, cert }.");
  }
  try {
    return createTlsServer({ ...tls, ...timeouts });
  } catch (cause) {
    const { message } = cause as Error;
    throw new PartdError("ERR_PARTD_VALUE", `tls is not valid: ${message}.`, { cause });
  }
}

/**
 * Begins to listen.
 *
 * @returns a function that removes the address from the file system.
 * @throws `ERR_PARTD_IO` if the address is taken.
 */
export async function listenOn(http: HttpServer, target: Address): Promise<() => Promise<void>> {
  if (target.kind === "ipc") return listenOnFile(http, target.path);
  const { host, port } = target;
  // `exclusive`: node:cluster would share the port among workers, but each worker serves its own store.
  await listen(http, { host, port, exclusive: true }).catch((cause: NodeJS.ErrnoException) => {
    const advice = ADVICE.get(cause.code ?? "") ?? "";
    throw new PartdError(
      "ERR_PARTD_IO",
      `Cannot listen on ${host}:${port}: ${cause.message}.${advice}`,
      { cause, address: `${target.kind}://${host}:${port}` },
    );
  });
  return async () => {};
}

const ADVICE: ReadonlyMap<string, string> = new Map([
  [
    "EADDRINUSE",
    " Something else listens there: end it, or give another port; 0 takes a free one.",
  ],
  ["EACCES", " A port below 1024 may need the rights of an administrator: give another port."],
  ["EADDRNOTAVAIL", " This machine does not have that address: give one of its own, or 0.0.0.0."],
  ["ENOTFOUND", " No machine is known by that name: check the address."],
]);

/** The address that clients use: with the port that was picked, and the full path. */
export function addressOf(target: Address, http: HttpServer): string {
  if (target.kind === "ipc") return `ipc://${target.path}`;
  const { port } = http.address() as AddressInfo;
  const host = target.host.includes(":") ? `[${target.host}]` : target.host;
  return `${target.kind}://${host}:${port}`;
}

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

function listen(server: Server, options: Parameters<Server["listen"]>[0]): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(options, () => {
      server.off("error", reject);
      resolve();
    });
  });
}
