import { createServer, type Server as HttpServer, type ServerOptions } from "node:http";
import { createServer as createTlsServer, type ServerOptions as TlsOptions } from "node:https";
import type { AddressInfo } from "node:net";
import { PartdError } from "@partd/core";
import type { Address } from "../protocol/address.js";
import { listen, listenOnFile } from "./socket-file.js";

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
