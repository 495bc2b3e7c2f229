import { resolve } from "node:path";
import { PartdError } from "@partd/core";
import { type OptionNames, takeOptions } from "@partd/core/author";
import {
  Client as BrowserClient,
  type ClientOptions as BrowserOptions,
  CLIENT_OPTIONS,
  checkAddress,
} from "./client.js";
import { type ClientTls, connectWith } from "./node-socket.js";

export interface ClientOptions extends BrowserOptions {
  /** For `wss://`: the certificate authorities to trust, and a certificate of the client. */
  readonly tls?: ClientTls | undefined;
}

const NODE_OPTIONS: OptionNames<ClientOptions> = { ...CLIENT_OPTIONS, tls: "object" };

/**
 * The store of a `Server`, from another process or machine: the `Client` of `@partd/server/client`,
 * which under Node also connects to `ipc://` addresses and takes TLS options.
 *
 * @example
 * await using p = new Client("ipc://shuffle.sock");
 * await p.append({ x: new Uint8Array([1, 2, 3]) });
 */
export class Client extends BrowserClient {
  constructor(address: string, options: ClientOptions = {}) {
    checkAddress(address);
    const isSubclass = new.target !== Client;
    const { tls, ...taken } = takeOptions("new Client", options, NODE_OPTIONS, isSubclass);
    if (tls && !/^\s*wss:/i.test(address)) {
      throw new PartdError(
        "ERR_PARTD_VALUE",
        `new Client() has tls, which is for wss:// addresses: to ${address} nothing would be encrypted.`,
        { address },
      );
    }
    super(resolved(address), { ...taken, connect: taken.connect ?? connectWith(tls) });
  }
}

/** Resolves a relative `ipc://` path once: the current directory may change between attempts. */
function resolved(address: string): string {
  if (!address.startsWith("ipc://")) return address;
  const path = address.slice("ipc://".length);
  return path === "" || process.platform === "win32" ? address : `ipc://${resolve(path)}`;
}
