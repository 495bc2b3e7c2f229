import { createHash } from "node:crypto";
import type { Argument, Connection, Reply } from "../connection/connection.js";

/** A Lua script, which the server caches under its digest. */
export class Script {
  readonly text: string;
  readonly #digest: string;

  constructor(...parts: readonly string[]) {
    this.text = parts.join("\n");
    this.#digest = createHash("sha1").update(this.text).digest("hex");
  }

  /**
   * Runs the script atomically on the server.
   *
   * @param keys every key that the script touches, all of one bucket: a cluster requires this.
   */
  async run(
    connection: Connection,
    keys: readonly string[],
    args: readonly Argument[],
    replicas = 0,
  ): Promise<Reply> {
    const key = keys[0] as string;
    const rest = [String(keys.length), ...keys, ...args];
    try {
      return await connection.send(key, ["EVALSHA", this.#digest, ...rest], replicas);
    } catch (error) {
      // The server was restarted, or told to forget its scripts.
      if (!(error as Error).message.startsWith("NOSCRIPT")) throw error;
      return connection.send(key, this.command(keys, args), replicas);
    }
  }

  /** The command that runs the script, whether the server knows it or not. */
  command(keys: readonly string[], args: readonly Argument[]): Argument[] {
    return ["EVAL", this.text, String(keys.length), ...keys, ...args];
  }
}
