import { Session, type SessionConnection } from "./session.js";

/** Sessions without a connection that are remembered; of more, the oldest go early. */
const MOST_WAITING = 4_096;

/** All sessions of a server: with a connection, or waiting for their client to come back. */
export class Sessions {
  readonly #sessions = new Map<string, Session>();
  readonly #expiry: number;
  /** Those without a connection, the oldest first. */
  readonly #waiting = new Set<Session>();
  /** Of answers to POPs that are kept to be given again. */
  readonly #kept = { bytes: 0 };
  /** Mutations that were sent again and not carried out again. */
  repeated = 0;

  /** @param expiry milliseconds that a session outlives its connection. */
  constructor(expiry: number) {
    this.#expiry = expiry;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** The session of a client that says hello, and whether it was known. */
  resume(id: string, first: number, connection: SessionConnection): [Session, boolean] {
    const known = this.#sessions.get(id);
    const session = known ?? new Session(id, first, this.#kept);
    this.#sessions.set(id, session);
    this.#waiting.delete(session);
    clearTimeout(session.expiry);
    const earlier = session.connection;
    session.connection = connection;
    earlier?.replaced();
    session.confirm(first - 1);
    return [session, known !== undefined];
  }

  /** The connection is gone; the client may come back. */
  leave(session: Session, connection: SessionConnection): void {
    if (session.connection !== connection) return;
    session.connection = undefined;
    this.#waiting.add(session);
    session.expiry = setTimeout(() => this.end(session), this.#expiry);
    session.expiry.unref?.();
    for (const oldest of this.#waiting) {
      if (this.#waiting.size <= MOST_WAITING) break;
      this.end(oldest);
    }
  }

  /** The client will not come back, or has stayed away for too long. */
  end(session: Session): void {
    clearTimeout(session.expiry);
    this.#waiting.delete(session);
    if (this.#sessions.get(session.id) === session) this.#sessions.delete(session.id);
    session.close();
  }

  clear(): void {
    for (const session of [...this.#sessions.values()]) this.end(session);
  }
}
