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
  /** Whether a connection needs a client certificate of an authority that the caller names. */
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
   *   empty token, or for something that is not an origin or a host.
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
        `On ${address.host}, everyone on the network could read and change the store; set a token, ask for client certificates (tls.requestCert with tls.ca), or say insecure: true.`,
      );
    }
    this.#token = token === undefined ? undefined : digest(token);
    this.#origins = new Set(options.origins?.map(originOf));
    const hosts = options.hosts?.map(hostNameOf) ?? [];
    // No web page can reach a socket file.
    if (address.kind !== "ipc") this.#hosts = new Set([address.host, ...hosts]);
  }

  /** @throws `ERR_PARTD_AUTH` if the token is not the server's. */
  checkToken(token: string): void {
    if (this.#token === undefined || this.#isToken(token)) return;
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
    const { authorization = "" } = headers;
    const credentials = authorization.replace(/^\S* */, ""); // A token may have spaces.
    if (/^bearer /i.test(authorization)) {
      // Node reads the bytes of a header as Latin-1; most programs write UTF-8.
      const utf8 = Buffer.from(credentials, "latin1").toString();
      return this.#isToken(credentials) || this.#isToken(utf8);
    }
    if (!/^basic /i.test(authorization)) return false;
    const text = Buffer.from(credentials, "base64").toString();
    return this.#isToken(text.slice(text.indexOf(":") + 1));
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

  /** Compares digests, in a time that depends neither on the token nor on its length. */
  #isToken(token: string): boolean {
    return this.#token !== undefined && timingSafeEqual(digest(token), this.#token);
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

/** An origin as browsers send it: they write neither a slash at its end nor the usual port. */
function originOf(given: string): string {
  if (given === "null") return given; // Of a file, and of a sandboxed frame.
  const url = URL.canParse(given) ? new URL(given) : undefined;
  if (url && url.origin !== "null") return url.origin;
  if (url?.host) return given; // Of an extension: chrome-extension://abc.
  throw new PartdError(
    "ERR_PARTD_VALUE",
    `origins has ${JSON.stringify(given)}, which is not an origin: write it as "https://example.org".`,
  );
}

/** A host name as browsers send it, in lower case. */
function hostNameOf(given: string): string {
  const url = URL.canParse(`http://${given}/`) ? new URL(`http://${given}/`) : undefined;
  if (url && url.host === url.hostname && url.href === `http://${url.host}/`) return url.hostname;
  throw new PartdError(
    "ERR_PARTD_VALUE",
    `hosts has ${JSON.stringify(given)}, which is not a host name: write it as "partd.internal", without a port.`,
  );
}

function digest(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}
