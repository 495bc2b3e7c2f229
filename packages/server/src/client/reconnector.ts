import { isPartdError, PartdError } from "@partd/core";
import { Type } from "../protocol/constants.js";
import { MessageReader, malformed } from "../protocol/message-reader.js";
import { MessageWriter } from "../protocol/message-writer.js";
import { readError, readWelcome, type Welcome, writeHello } from "../protocol/packets.js";
import type { Connect, Socket } from "./socket.js";

export interface ReconnectorOptions {
  readonly address: string;
  readonly connect: Connect;
  readonly token: string;
  /** Milliseconds. */
  readonly timeout: number;
}

/** What happens to the connection. */
export interface ConnectionEvents {
  opened(socket: Socket, welcome: Welcome, sameServer: boolean): void;
  received(parts: readonly Uint8Array[]): void;
  /** The connection is lost. @param final whether the pending requests get no other. */
  lost(error: Error, final: boolean): void;
}

const FIRST_DELAY = 20;
const LONGEST_DELAY = 2_000;
/** The most milliseconds that a connection may take to open, including TLS and a slow line. */
const LONGEST_ATTEMPT = 10_000;

/**
 * Keeps a session connected while it is needed: says HELLO, retries with growing, random pauses, and
 * detects a server that has fallen silent.
 */
export class Reconnector {
  readonly session = crypto.getRandomValues(new Uint8Array(16));
  readonly #options: ReconnectorOptions;
  readonly #listener: ConnectionEvents;
  readonly #events: EventTarget;
  #socket: Socket | undefined;
  #instance: Uint8Array | undefined;
  #open = false;
  #attempt = 0;
  /** When the connection was lost or first needed, by `performance.now()`. */
  #since = 0;
  /** The lowest mutation that may still be repeated. */
  #first = 1;
  /** Why the connection was lost, while the listeners are being told. */
  #failure: PartdError | undefined;
  /** The client itself ends the connection: it is not lost. */
  #ended = false;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #watch: ReturnType<typeof setInterval> | undefined;
  /** When a tick of the watch is overdue: this process has stood still since then. */
  #overdue = 0;
  #heard = 0;
  /** Why the server will close the connection, if it said so. */
  #fatal: PartdError | undefined;
  /** Why the connection was given up, if the server was silent. */
  #silence: Error | undefined;

  constructor(options: ReconnectorOptions, listener: ConnectionEvents, events: EventTarget) {
    this.#options = options;
    this.#listener = listener;
    this.#events = events;
  }

  /**
   * Connects, unless it is connected or connecting; after a pause if the connection was just lost.
   *
   * @param first the lowest mutation that may still be repeated.
   */
  want(first: number): void {
    this.#first = first;
    if (this.#socket || this.#retry !== undefined) return;
    if (this.#failure) {
      this.#pause(this.#failure);
      return;
    }
    this.#attempt = 0;
    this.#since = performance.now();
    this.#connect();
  }

  /** Stops retrying: no connection is needed for now. */
  relax(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
  }

  /** The server has refused the client with `error`; another attempt would not change that. */
  fail(error: PartdError): void {
    this.#fatal = error;
    this.#socket?.terminate();
  }

  /** Drops the connection. A later `want` makes another. */
  end(): void {
    this.#ended = true;
    this.relax();
    this.#socket?.close();
  }

  #connect(): void {
    this.#open = false;
    this.#ended = false;
    this.#fatal = undefined;
    this.#silence = undefined;
    // Ignore late events of an earlier socket.
    let socket: Socket | undefined;
    let early: { readonly cause: unknown } | undefined;
    const current = () => socket !== undefined && this.#socket === socket;
    try {
      socket = this.#options.connect(this.#options.address, {
        opened: () => {
          if (current()) this.#hello();
        },
        received: (parts) => {
          if (!current()) return;
          this.#heard = performance.now();
          this.#received(parts);
        },
        closed: (cause) => {
          if (current()) this.#closed(cause);
          else if (!socket) early = { cause };
        },
      });
    } catch (error) {
      this.#giveUp(isPartdError(error) ? error : this.#noSocket(error));
      return;
    }
    this.#socket = socket;
    this.#heard = performance.now();
    // An attempt that hangs leaves time for others.
    this.#watchSilence(Math.min(this.#options.timeout, LONGEST_ATTEMPT));
    if (early) this.#closed(early.cause);
  }

  #noSocket(cause: unknown): PartdError {
    const { address } = this.#options;
    const message = cause instanceof Error ? cause.message : String(cause);
    return new PartdError(
      "ERR_PARTD_CONNECTION",
      `No connection to ${address} can be made: ${message}.`,
      { address, cause },
    );
  }

  #hello(): void {
    const writer = new MessageWriter();
    const { session } = this;
    writeHello(writer, { session, first: this.#first, token: this.#options.token });
    this.#socket?.send(writer.take());
  }

  #received(parts: readonly Uint8Array[]): void {
    try {
      if (!this.#open) this.#welcomed(parts);
      else {
        // Only a received answer resets the pauses: if a request kills the server, it must not be repeated
        // at once each time the server is back.
        this.#attempt = 0;
        this.#listener.received(parts);
      }
    } catch (error) {
      // The server would speak the other protocol at the next attempt, too.
      if (!isPartdError(error)) throw error;
      this.fail(
        new PartdError(error.code, `${error.message} (${this.#options.address})`, {
          address: this.#options.address,
          cause: error,
        }),
      );
    }
  }

  #welcomed(parts: readonly Uint8Array[]): void {
    const reader = new MessageReader(parts);
    reader.nextPacket();
    if (reader.type === Type.ERROR) {
      reader.varint();
      this.fail(readError(reader, this.#options.address));
      return;
    }
    if (reader.type !== Type.WELCOME) throw malformed("a server's first packet is WELCOME");
    const welcome = readWelcome(reader);
    const sameServer = this.#instance !== undefined && sameBytes(this.#instance, welcome.instance);
    this.#instance = welcome.instance;
    this.#open = true;
    this.#watchSilence(3 * welcome.terms.pingInterval);
    this.#listener.opened(this.#socket as Socket, welcome, sameServer);
    this.#tell("connect", { resumed: welcome.resumed && sameServer });
  }

  #closed(given: unknown): void {
    clearInterval(this.#watch);
    this.#allow(performance.now() - this.#overdue);
    const cause = isPartdError(given) ? given : (this.#silence ?? given);
    const wasOpen = this.#open;
    if (wasOpen) this.#since = performance.now();
    this.#socket = undefined;
    this.#open = false;
    const { address } = this.#options;
    const fatal = isPartdError(cause) ? cause : this.#fatal;
    if (fatal) {
      this.#giveUp(fatal);
      return;
    }
    const error = new PartdError(
      "ERR_PARTD_CONNECTION",
      `No connection to ${address}: ${cause instanceof Error ? cause.message : "it was closed"}.${adviceOn(cause)}`,
      { address, cause },
    );
    if (wasOpen && !this.#ended) this.#tell("disconnect", { error });
    if (performance.now() - this.#since >= this.#options.timeout) {
      this.#giveUp(error);
      return;
    }
    this.#failure = error;
    this.#listener.lost(error, false);
    this.#failure = undefined;
  }

  #pause(error: PartdError): void {
    // Half of the pause is random, so that clients of one server do not come back all at once.
    const longest = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#attempt);
    const delay = Math.round(longest * (0.5 + Math.random() / 2));
    this.#attempt++;
    this.#tell("retry", { attempt: this.#attempt, delay, error });
    const due = performance.now() + delay;
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#allow(performance.now() - due);
      this.#connect();
    }, delay);
  }

  /** Does not count time in which this process stood still: it made no attempts. */
  #allow(late: number): void {
    this.#since += Math.max(0, late);
  }

  #giveUp(error: Error): void {
    this.#listener.lost(error, true);
    this.#tell("giveup", { error });
  }

  /** A dead connection that nobody closed shows only by its silence. */
  #watchSilence(limit: number): void {
    clearInterval(this.#watch);
    const interval = Math.max(50, limit / 4);
    this.#overdue = performance.now() + 2 * interval;
    let passed = false;
    this.#watch = setInterval(() => {
      const now = performance.now();
      this.#allow(now - this.#overdue);
      // This process stood still: first read what the server has sent meanwhile.
      passed = now > this.#overdue && !passed;
      this.#overdue = now + 2 * interval;
      if (passed || now - this.#heard < limit) return;
      this.#silence = new Error(`the server said nothing for ${Math.round(now - this.#heard)} ms`);
      this.#socket?.terminate();
    }, interval);
  }

  #tell<T extends keyof ClientEvents>(type: T, detail: ClientEvents[T]): void {
    this.#events.dispatchEvent(new ClientEvent(type, detail));
  }
}

/** What to do where an operating system says why there is no connection. */
function adviceOn(cause: unknown): string {
  const { code } = (cause ?? {}) as { readonly code?: unknown };
  if (code === "ECONNREFUSED" || code === "ENOENT") return " Is the server running there?";
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return " Is that the name of its machine?";
  return "";
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && a.every((byte, i) => byte === b[i]);
}

/** The events of a client's connection. */
export interface ClientEvents {
  /** Connected. `resumed`: the server knew this session, so no outcome was lost. */
  readonly connect: { readonly resumed: boolean };
  /** The connection was lost. `close()` does not lose it, and `retry` tells of failed attempts. */
  readonly disconnect: { readonly error: Error };
  /** Another attempt is made after `delay` milliseconds. */
  readonly retry: { readonly attempt: number; readonly delay: number; readonly error: Error };
  /** No more attempts: pending operations reject with `error`. The next operation connects anew. */
  readonly giveup: { readonly error: Error };
}

/** An event of a `Client`, for `addEventListener`. */
export class ClientEvent<T extends keyof ClientEvents = keyof ClientEvents> extends Event {
  /** `"connect"`, `"disconnect"`, `"retry"` or `"giveup"`. */
  declare readonly type: T;
  /** What {@link ClientEvents} lists for the type. */
  readonly detail: ClientEvents[T];

  /** @internal */
  constructor(type: T, detail: ClientEvents[T]) {
    super(type);
    this.detail = detail;
  }
}
