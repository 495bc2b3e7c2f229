import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import { PartdError } from "@partd/core";
import { type Address, isLoopback } from "../protocol/address.js";

export interface AccessOptions {
  readonly token?: string | undefined;
  readonly origins?: readonly string[] | undefined;
  readonly hosts?: readonly string[] | undefined;
  readonly insecure?: boolean | undefined;
  /** Whether a connection needs a client certificate. */
  readonly certificates: boolean;
}

/** Decides who may reach a server. */
export class Access {
  readonly #token: Buffer | undefined;
  readonly #origins: ReadonlySet<string>;
  /** Host names of the server; `undefined` if no web page can reach it. */
  readonly #hosts: ReadonlySet<string> | undefined;

  /**
   * @throws `ERR_PARTD_AUTH` if anyone on the network could use the store; `ERR_PARTD_VALUE` for an
   *   empty token.
   */
  constructor(address: Address, options: AccessOptions) {
    const { token, insecure, certificates } = options;
    if (token === "") {
      throw new PartdError(
        "ERR_PARTD_VALUE",
        "A token that is empty protects nothing; leave it out.",
      );
    }
    const open = token === undefined && !certificates && insecure !== true;
    if (address.kind !== "ipc" && !isLoopback(address.host) && open) {
      throw new PartdError(
        "ERR_PARTD_AUTH",
        `On ${address.host}, everyone on the network could read and change the store; set a token, ask for client certificates (tls.requestCert), or say insecure: true.`,
      );
    }
    this.#token = token === undefined ? undefined : digest(token);
    this.#origins = new Set(options.origins);
    // No web page can reach a socket file.
    if (address.kind !== "ipc") this.#hosts = new Set([address.host, ...(options.hosts ?? [])]);
  }

  /**
   * Compares digests, in a time that depends neither on the token nor on its length.
   *
   * @throws `ERR_PARTD_AUTH` if the token is not the server's.
   */
  checkToken(token: string): void {
    if (this.#token === undefined || timingSafeEqual(digest(token), this.#token)) return;
    throw new PartdError(
      "ERR_PARTD_AUTH",
      token === ""
        ? "The server asks for a token: new Client(address, { token })."
        : "The server refused the token.",
    );
  }

  /** Whether an HTTP request carries the token, as a bearer token or as the password of Basic. */
  allowsRequest({ headers }: IncomingMessage): boolean {
    if (this.#token === undefined) return true;
    const [scheme, credentials = ""] = (headers.authorization ?? "").split(" ");
    let token = "";
    if (scheme?.toLowerCase() === "bearer") token = credentials;
    else if (scheme?.toLowerCase() === "basic") {
      const text = Buffer.from(credentials, "base64").toString();
      token = text.slice(text.indexOf(":") + 1);
    }
    return timingSafeEqual(digest(token), this.#token);
  }

  /**
   * Why a page may not open a WebSocket, or `undefined`. A browser always sends the page's origin in
   * `Origin`, and other clients do not. Refused are pages of another origin, and pages whose host name
   * was made to point here (DNS rebinding): only the names that the server listens on or was given are
   * its own.
   */
  pageRefusal({ headers }: IncomingMessage): string | undefined {
    const { origin, host } = headers;
    if (origin === undefined || this.#origins.has(origin)) return undefined;
    const isSame = URL.canParse(origin) && new URL(origin).host === host;
    if (isSame && this.#isOwnName(host)) return undefined;
    return isSame
      ? `Pages of the host ${host} may not connect: name it in the server's hosts.`
      : `Pages of ${origin} may not connect: name it in the server's origins.`;
  }

  /**
   * Whether plain HTTP is answered. A page's own requests carry no `Origin`, so the Host name decides.
   */
  allowsPlain(request: IncomingMessage): boolean {
    const { origin, host } = request.headers;
    if (origin !== undefined) return this.pageRefusal(request) === undefined;
    return this.#isOwnName(host);
  }

  #isOwnName(host: string | undefined): boolean {
    if (host === undefined || this.#hosts === undefined) return true;
    if (!URL.canParse(`http://${host}`)) return false;
    const name = new URL(`http://${host}`).hostname.replace(/^\[|\]$/g, "");
    return (
      isIP(name) !== 0 || isLoopback(name) || this.#hosts.has(name) || this.#token !== undefined
    );
  }
}

function digest(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}
