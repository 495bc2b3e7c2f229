import type { PartdError } from "@partd/core";

/**
 * What a server remembers of one client, across its connections: which of its mutations it has
 * begun, and how those ended whose answer the client has not confirmed. That is what makes a
 * mutation that is sent again be carried out once.
 */
export class Session {
  readonly id: string;
  /** The client will never ask about this one or a lower one again. */
  seen: number;
  readonly #outcomes = new Map<number, Outcome>();
  /** The connection that speaks for it. */
  connection: SessionConnection | undefined;
  expiry: ReturnType<typeof setTimeout> | undefined;
  /** Bytes of answers that are kept to be given again. */
  keptBytes = 0;

  constructor(id: string, first: number) {
    this.id = id;
    this.seen = first - 1;
  }

  get size(): number {
    return this.#outcomes.size;
  }

  find(number: number): Outcome | undefined {
    return this.#outcomes.get(number);
  }

  begin(number: number): Outcome {
    const outcome = new Outcome();
    this.#outcomes.set(number, outcome);
    return outcome;
  }

  /** The client has had the answers to all mutations up to `number`. */
  confirm(number: number): void {
    this.seen = Math.max(this.seen, number);
    for (const [seq, outcome] of this.#outcomes) {
      if (seq > number) break;
      if (outcome.running) continue; // Given up by the client; it goes when it is done.
      this.keptBytes -= outcome.keptBytes;
      this.#outcomes.delete(seq);
    }
  }

  /** A mutation has ended; nothing is kept for one that the client has given up. */
  end(number: number, outcome: Outcome): void {
    outcome.running = false;
    if (number <= this.seen) this.#outcomes.delete(number);
    else this.keptBytes += outcome.keptBytes;
  }
}

/** What became of a mutation. */
export class Outcome {
  running = true;
  error: PartdError | undefined;
  /** Of POP: the values, and the keys they belong to. */
  values: readonly Uint8Array[] | undefined;
  keptBytes = 0;
  /** Where the answer is to go: the connection on which the request came last. */
  asked: SessionConnection | undefined;
  /** What it takes of that connection's window. */
  charge: Charge | undefined;
  abort: AbortController | undefined;
}

/** Bytes of one of a connection's two windows. */
export interface Charge {
  readonly inside: boolean;
  readonly bytes: number;
  /** Called when the request is answered. */
  readonly settled?: () => void;
}

/** A connection, for the session that it speaks for. */
export interface SessionConnection {
  /** Tells the client how its mutation ended. */
  answer(number: number, outcome: Outcome): void;
  /** Another connection speaks for the session now. */
  replaced(): void;
}
