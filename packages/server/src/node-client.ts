import { Client as BrowserClient, type ClientOptions as BrowserOptions } from "./client.js";
import { type ClientTls, connectWith } from "./ws-socket.js";

export interface ClientOptions extends BrowserOptions {
  /** For `wss://`: certificate authorities to trust, a certificate of one's own. */
  readonly tls?: ClientTls | undefined;
}

/**
 * The store of a `Server`, from another process or machine. See `@partd/server/client` for what it
 * is; under Node it also connects to `ipc://` addresses, and takes TLS options.
 *
 * @example
 * await using p = new Client("ipc://shuffle.sock");
 * await p.append({ x: new Uint8Array([1, 2, 3]) });
 */
export class Client extends BrowserClient {
  constructor(address: string, options: ClientOptions = {}) {
    super(address, { ...options, connect: options.connect ?? connectWith(options.tls) });
  }
}
