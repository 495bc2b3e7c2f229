import type { Argument, Reply, Transaction } from "./connection.js";

/** @throws the first error among the replies; a server that refuses one command does none of them. */
export async function run(
  transaction: Transaction,
  commands: readonly Argument[][],
): Promise<Reply> {
  for (const command of commands) transaction.sendCommand(command);
  const replies = await transaction.exec().catch((error: { replies?: unknown[] }) => {
    if (Array.isArray(error.replies)) return error.replies;
    throw error;
  });
  for (const reply of replies) if (reply instanceof Error) throw reply;
  return replies as Reply[];
}

/**
 * Finds out which servers let us push in transactions: some proxies, and users without the right,
 * refuse MULTI, and would then carry out each command by itself.
 */
export class TransactionProbe {
  readonly #allowed = new WeakMap<object, boolean>();

  /**
   * Does not wait: until the server has answered it is false.
   *
   * @param server an object that stands for the server.
   * @param key one that does not exist.
   */
  isAllowed(server: object, key: string, begin: () => Transaction): boolean {
    const known = this.#allowed.get(server);
    if (known !== undefined) return known;
    this.#allowed.set(server, false);
    run(begin(), [["RPUSHX", key, ""]]).then(
      () => this.#allowed.set(server, true),
      (error: Error) => {
        if (!/^(NOPERM|ERR) /.test(error.message)) this.#allowed.delete(server); // Ask again.
      },
    );
    return false;
  }
}
