import { PartdError } from "@partd/core";
import {
  checkIntegerOption,
  checkNotHeld,
  describeArgument,
  type OptionNames,
  takeOptions,
} from "@partd/core/author";
import { LONGEST_TIMER } from "../protocol/constants.js";
import { Link } from "./link.js";
import type { ClientEvent, ClientEvents } from "./reconnector.js";
import { RemoteStore } from "./remote-store.js";
import { type Connect, connectBuiltIn } from "./socket.js";

export interface ClientOptions {
  /** The server's token, if it has one. */
  readonly token?: string | undefined;
  /**
   * Milliseconds without a connection after which pending operations reject with
   * `ERR_PARTD_CONNECTION`. Default 15,000.
   */
  readonly timeout?: number | undefined;
  /** Makes connections. Default: the built-in `WebSocket`. */
  readonly connect?: Connect | undefined;
}

export const CLIENT_OPTIONS: OptionNames<ClientOptions> = {
  token: "string",
  timeout: true,
  connect: "function",
};

/**
 * The store of a `Server`, from another process, another machine or a browser.
 *
 * It connects with its first operation, and again whenever the connection is lost. Each append, `iset`,
 * deletion, `pop` and `drop` is nevertheless carried out exactly once. If the server was restarted
 * meanwhile and cannot know, it rejects with `ERR_PARTD_CONNECTION` and a message that the outcome is
 * unknown. A stream or `withLock` that loses its connection rejects, too.
 *
 * @example
 * const p = new Client("ws://127.0.0.1:8765");
 * p.addEventListener("disconnect", ({ detail }) => console.warn(detail.error.message));
 */
export class Client extends RemoteStore {
  readonly #link: Link;
  #closing: Promise<void> | undefined;

  /**
   * @param address the server's `address`.
   * @throws `ERR_PARTD_VALUE` for an address that is not a string, an unknown option, or a `timeout`
   *   that is not an integer from 1 to 2^31 - 1.
   */
  constructor(address: string, options: ClientOptions = {}) {
    checkAddress(address);
    const taken = takeOptions("new Client", options, CLIENT_OPTIONS, new.target !== Client);
    const link = new Link({
      address,
      connect: taken.connect ?? connectBuiltIn,
      token: taken.token ?? "",
      timeout: checkIntegerOption("timeout", taken.timeout ?? 15_000, 1, LONGEST_TIMER),
    });
    super(link);
    this.#link = link;
  }

  /** The server's address; that of a socket file has its full path. */
  get address(): string {
    return this.#link.address;
  }

  /** Connection events; their types are in `ClientEvents`. */
  addEventListener<T extends keyof ClientEvents>(
    type: T,
    listener: (event: ClientEvent<T>) => void,
    options?: ListenerOptions,
  ): void {
    this.#link.events.addEventListener(type, listener as (event: Event) => void, {
      once: options?.once ?? false,
      ...(options?.signal && { signal: options.signal }),
    });
  }

  removeEventListener<T extends keyof ClientEvents>(
    type: T,
    listener: (event: ClientEvent<T>) => void,
  ): void {
    this.#link.events.removeEventListener(type, listener as (event: Event) => void);
  }

  /**
   * Waits for earlier calls, has the server flush its store if anything was written through this
   * client, and disconnects. The server and its store stay open.
   */
  override close(): Promise<void> {
    this.#closing ??= this.#close().catch((error: unknown) => {
      this.#closing = undefined; // The flush failed: still open.
      this.setClosed(false);
      throw error;
    });
    return this.#closing;
  }

  async #close(): Promise<void> {
    checkNotHeld(this);
    this.setClosed(true);
    await this.#link.whenIdle();
    if (this.#link.dirty) await this.flushServer();
    this.#link.close(new PartdError("ERR_PARTD_CLOSED", "The store was closed."));
  }
}

/** @throws `ERR_PARTD_VALUE` unless it is a string. */
export function checkAddress(address: unknown): void {
  if (typeof address === "string") return;
  throw new PartdError(
    "ERR_PARTD_VALUE",
    `new Client() takes a server's address, as in new Client("ws://127.0.0.1:8765"), not ${describeArgument(address)}.`,
  );
}

/** The options of `EventTarget.addEventListener`: their own type is only in the DOM library. */
export interface ListenerOptions {
  /** Whether the listener is removed after its first event. Default false. */
  readonly once?: boolean | undefined;
  /** Removes the listener when it is aborted. */
  readonly signal?: AbortSignal | undefined;
}
