import { PartdError } from "@partd/core";

/** The options of a server's connection, in the form that `@redis/client` takes. */
export interface ServerOptions {
  readonly socket:
    | { readonly path: string }
    | { readonly host: string; readonly port: number; readonly tls?: true };
  readonly username?: string;
  readonly password?: string;
  readonly database?: number;
}

/**
 * Parses `redis[s]://[[user]:password@]host[:port][/database]`, or `unix:///path/of/socket`.
 *
 * @throws `ERR_PARTD_VALUE` for anything else; the message contains no password.
 */
export function parseUrl(text: string): {
  readonly address: string;
  readonly options: ServerOptions;
} {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw badUrl();
  }
  const credentials = {
    ...(url.username ? { username: decodeURIComponent(url.username) } : {}),
    ...(url.password ? { password: decodeURIComponent(url.password) } : {}),
  };
  if (url.protocol === "unix:" && url.pathname.length > 1) {
    const path = decodeURIComponent(url.pathname);
    return { address: `unix://${path}`, options: { ...credentials, socket: { path } } };
  }
  if ((url.protocol !== "redis:" && url.protocol !== "rediss:") || !url.hostname) throw badUrl();
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const port = Number(url.port || 6379);
  const database = url.pathname.replace("/", "");
  if (!/^\d*$/.test(database)) throw badUrl();
  return {
    address: `${url.protocol}//${url.hostname}:${port}`,
    options: {
      ...credentials,
      ...(database ? { database: Number(database) } : {}),
      socket: { host, port, ...(url.protocol === "rediss:" ? { tls: true as const } : {}) },
    },
  };
}

function badUrl(): PartdError {
  return new PartdError(
    "ERR_PARTD_VALUE",
    "A Redis server is given as redis://host:port, rediss://user:password@host:port or unix:///path/of/socket.",
  );
}
