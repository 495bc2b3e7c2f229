import type { Argument, Connection, Reply } from "../connection/connection.js";
import type { Script } from "../scripts/script.js";

/** A change to a bucket, which the server carries out once, however often it is sent. */
export interface Change {
  /** Whether the caller still waits. Asked while the change has surely not been made. */
  readonly isWanted: boolean;
  send(attempt: Attempt): Promise<Reply>;
  resolve(): void;
  reject(error: unknown): void;
}

/** One attempt to make a change. */
export interface Attempt {
  readonly connection: Connection;
  /** The keys and arguments with which all scripts that change a bucket begin. */
  readonly keys: readonly string[];
  readonly args: readonly Argument[];
  /** Replicas that must confirm the change. */
  readonly replicas: number;
  readonly isFirst: boolean;
}

/** A change that one script makes. */
export class ScriptChange implements Change {
  readonly isWanted = true;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  readonly #script: Script;
  readonly #keys: readonly string[];
  readonly #args: readonly Argument[];

  /** @param keys and `args` stand behind those that all scripts share. */
  constructor(
    script: Script,
    keys: readonly string[],
    args: readonly Argument[],
    resolve: () => void,
    reject: (error: unknown) => void,
  ) {
    this.#script = script;
    this.#keys = keys;
    this.#args = args;
    this.resolve = resolve;
    this.reject = reject;
  }

  send({ connection, keys, args, replicas }: Attempt): Promise<Reply> {
    const allKeys = [...keys, ...this.#keys];
    return this.#script.run(connection, allKeys, [...args, ...this.#args], replicas);
  }
}
