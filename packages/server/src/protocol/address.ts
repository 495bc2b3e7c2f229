import { isIP } from "node:net";
import { resolve } from "node:path";
import { PartdError } from "@partd/core";

/** Where a server listens. */
export type Address =
  | { readonly kind: "ipc"; readonly path: string }
  | { readonly kind: "ws" | "wss"; readonly host: string; readonly port: number };

/** The longest path of a Unix-domain socket, in bytes. The system silently cuts off longer ones. */
export const LONGEST_PATH = process.platform === "linux" ? 107 : 103;

/** @throws `ERR_PARTD_CONNECTION` for what is not an address. */
export function parseAddress(address: string): Address {
  if (address.startsWith("ipc://")) return { kind: "ipc", path: socketPath(address) };
  const url = URL.canParse(address) ? new URL(address) : undefined;
  const kind = url?.protocol.slice(0, -1);
  if (!url || (kind !== "ws" && kind !== "wss") || (url.pathname !== "/" && url.pathname !== "")) {
    throw new PartdError(
      "ERR_PARTD_CONNECTION",
      `${JSON.stringify(address)} is not an address: use ipc://path, ws://host:port or wss://host:port.`,
      { address },
    );
  }
  if (url.username || url.password || url.search || url.hash || /[?#]$/.test(address)) {
    // The message does not repeat what may be a secret.
    throw new PartdError(
      "ERR_PARTD_CONNECTION",
      `The address of ${url.host} has a user, a query or a fragment, and takes none: use ${kind}://host:port, and pass a token as new Client(address, { token }).`,
    );
  }
  const host = url.hostname.replace(/^\[|\]$/g, "");
  return { kind, host, port: url.port === "" ? (kind === "ws" ? 80 : 443) : Number(url.port) };
}

/** Whether only this machine can reach what listens on `host`. */
export function isLoopback(host: string): boolean {
  if (host === "localhost" || host.endsWith(".localhost") || host === "::1") return true;
  if (/^::ffff:7f[0-9a-f]{2}:/i.test(host)) return true; // As URL writes ::ffff:127.0.0.1.
  return isIP(host) === 4 && host.startsWith("127.");
}

function socketPath(address: string): string {
  const name = address.slice("ipc://".length);
  if (name === "" || name.includes("\0")) {
    throw new PartdError("ERR_PARTD_CONNECTION", `${JSON.stringify(address)} names no file.`, {
      address,
    });
  }
  if (process.platform === "win32") return `\\\\.\\pipe\\${name.replace(/^[\\/]+/, "")}`;
  const path = resolve(name);
  if (Buffer.byteLength(path) > LONGEST_PATH) {
    throw new PartdError(
      "ERR_PARTD_CONNECTION",
      `The path of the socket ${path} is longer than the ${LONGEST_PATH} bytes that the system allows; use a shorter one, for example in ${process.env.XDG_RUNTIME_DIR ?? "/tmp"}.`,
      { address, path },
    );
  }
  return path;
}
