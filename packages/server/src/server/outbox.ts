import { WaitQueue } from "@partd/core/author";
import { Type } from "../protocol/constants.js";
import {
  type Corkable,
  type FragmentSocket,
  MessageWriter,
  type Spares,
  sendParts,
} from "../protocol/message-writer.js";

/** Bytes of answers that wait to be sent, of all connections together. */
export interface Backlog {
  bytes: number;
  readonly most: number;
}

const MESSAGE_BYTES = 262_144;
/** The length of a spare, the server's reusable memory: a message, and the packet that completes it. */
export const SPARE_BYTES = MESSAGE_BYTES + 16_384;
/** Bytes that every connection may have waiting, however much the others have. */
const LEAST = 65_536;
/**
 * For at most this many turns of the event loop an answer waits for others while requests keep coming.
 */
const MOST_TURNS = 8;

/**
 * What a server sends to one connection. It gathers packets into messages, no faster than the client
 * takes them, so that a client that does not read costs no memory.
 */
export class Outbox {
  readonly writer: MessageWriter;
  /** The server's memory for messages. */
  readonly spares: Spares;
  readonly #socket: FragmentSocket;
  readonly #carrier: Carrier;
  readonly #backlog: Backlog;
  readonly #counters: { sentBytes: number };
  readonly #most: number;
  /** Mutations that were carried out, for one DONE packet. */
  #done: number[] = [];
  #queued = 0;
  readonly #outside = new Side();
  readonly #inside = new Side();
  #scheduled = false;
  #resume: (() => void) | undefined;
  #closed = false;
  /** When the client last took something, or had taken everything. */
  progress = performance.now();

  /** @param carrier the network socket below the WebSocket. */
  constructor(
    socket: FragmentSocket,
    carrier: Carrier,
    backlog: Backlog,
    spares: Spares,
    counters: { sentBytes: number },
    most: number,
  ) {
    this.writer = new MessageWriter(spares);
    this.spares = spares;
    this.#counters = counters;
    this.#socket = socket;
    this.#carrier = carrier;
    this.#backlog = backlog;
    this.#most = most;
  }

  /** Bytes that the client has not taken. */
  get queued(): number {
    return this.#queued;
  }

  /** Calls `resume` once the client has taken most of what waits for it. */
  whenTaken(resume: () => void): void {
    this.#resume = resume;
  }

  /** Tells the client, with the next message, that a mutation was carried out. */
  done(number: number): void {
    this.#done.push(number);
    this.schedule();
  }

  /** Sends what was written, together with what else is written soon. */
  schedule(): void {
    if (this.writer.byteLength >= MESSAGE_BYTES) this.flush();
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#flushSoon(MOST_TURNS);
  }

  /** Flushes at the end of this turn, or up to `MOST_TURNS` later while the client keeps sending. */
  #flushSoon(turns: number): void {
    const { bytesRead } = this.#carrier;
    setImmediate(() => {
      if (this.#carrier.bytesRead !== bytesRead && turns > 1) {
        this.#flushSoon(turns - 1);
        return;
      }
      this.#scheduled = false;
      this.flush();
    });
  }

  /** Sends what was written, now. */
  flush(): void {
    this.#writeDone();
    const { byteLength } = this.writer;
    if (byteLength === 0) return;
    const parts = this.writer.take();
    const giveBack = this.writer.takeFull();
    if (this.#closed) return;
    if (this.#queued === 0) this.progress = performance.now();
    this.#queued += byteLength;
    this.#backlog.bytes += byteLength;
    this.#counters.sentBytes += byteLength;
    sendParts(this.#socket, this.#carrier, parts, () => {
      giveBack();
      this.#taken(byteLength);
    });
  }

  /**
   * Resolves when there is room for `bytes` more of an answer, in the order of the calls. The
   * caller calls the returned function once they are written, which gives the room back.
   *
   * @param inside whether the request runs under the lock. Its room is separate, since requests
   *   outside may hold theirs while they wait for that lock.
   */
  async room(bytes: number, inside: boolean, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    const side = inside ? this.#inside : this.#outside;
    if (side.waiting.size > 0 || !this.#hasRoom(side, bytes)) {
      await side.waiting.wait(bytes, signal, () => this.#admit());
    } else {
      side.kept += bytes;
    }
    return () => {
      side.kept -= bytes;
      this.#admit();
    };
  }

  /** The connection is lost. */
  close(): void {
    this.#closed = true;
    this.#backlog.bytes -= this.#queued;
    this.#queued = 0;
    this.#admit();
  }

  #writeDone(): void {
    const done = this.#done;
    for (let i = 0; i < done.length; ) {
      const first = done[i] as number;
      let count = 1;
      while (done[i + count] === first + count) count++;
      const packet = this.writer.begin(Type.DONE, 0, 16);
      this.writer.varint(first);
      this.writer.varint(count);
      this.writer.end(packet);
      i += count;
    }
    if (done.length > 0) this.#done = [];
  }

  #hasRoom({ kept }: Side, bytes: number): boolean {
    const used = this.#queued + this.writer.byteLength + kept;
    if (this.#closed || used === 0 || used + bytes <= LEAST) return true;
    return used + bytes <= this.#most && this.#backlog.bytes < this.#backlog.most;
  }

  #taken(byteLength: number): void {
    if (this.#closed) return;
    this.progress = performance.now();
    this.#queued -= byteLength;
    this.#backlog.bytes -= byteLength;
    if (this.#resume && this.#queued <= this.#most) {
      this.#resume();
      this.#resume = undefined;
    }
    this.#admit();
  }

  #admit(): void {
    for (const side of [this.#inside, this.#outside]) {
      for (let next = side.waiting.first; next !== undefined; next = side.waiting.first) {
        if (!this.#hasRoom(side, next)) break;
        side.kept += next;
        side.waiting.take()?.resolve();
      }
    }
  }
}

/** The network socket below a WebSocket. */
export interface Carrier extends Corkable {
  /** Bytes received so far. */
  readonly bytesRead: number;
}

/** The room for answers under the lock, or for those outside. */
class Side {
  /** Bytes reserved for answers that are being read. */
  kept = 0;
  /** The waiting answers, each with its bytes. */
  readonly waiting = new WaitQueue<number>();
}
