/** What a client tells about its connection. */
export interface ClientEvents {
  /** Connected. `resumed`: the server knew this session, so that nothing was in doubt. */
  readonly connect: { readonly resumed: boolean };
  /** The connection was lost, or could not be made. */
  readonly disconnect: { readonly error: Error };
  /** Another attempt is made after `delay` milliseconds. */
  readonly retry: { readonly attempt: number; readonly delay: number; readonly error: Error };
  /** No more attempts: what was pending rejects with `error`. The next operation begins anew. */
  readonly giveup: { readonly error: Error };
}

/** An event of a `Client`, for `addEventListener`. */
export class ClientEvent<T extends keyof ClientEvents = keyof ClientEvents> extends Event {
  declare readonly type: T;
  readonly detail: ClientEvents[T];

  /** @internal */
  constructor(type: T, detail: ClientEvents[T]) {
    super(type);
    this.detail = detail;
  }
}
