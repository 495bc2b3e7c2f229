import type { EntriesOptions, OperationOptions } from "@partd/core";
import type { Reply } from "../connection/connection.js";
import type { BucketNames } from "../data-set.js";
import { CHECK, PRESENT } from "../scripts/read-scripts.js";
import type { Session } from "../session.js";
import { strangeReply } from "../trouble.js";
import type { BucketWriter } from "../write/bucket-writer.js";
import { GROUP_KEYS, type Reader, WINDOW_BYTES } from "./reader.js";

/** Lists keys and values bucket by bucket, in steps short enough not to block the server. */
export class Listing {
  readonly #session: Session;
  readonly #writers: readonly BucketWriter[];
  readonly #reader: Reader;

  constructor(session: Session, writers: readonly BucketWriter[], reader: Reader) {
    this.#session = session;
    this.#writers = writers;
    this.#reader = reader;
  }

  async *keys(options: OperationOptions): AsyncGenerator<string, void, undefined> {
    for (const bucket of this.#session.buckets) {
      for await (const page of this.pages(bucket, options)) yield* page;
    }
  }

  async *entries(
    options: EntriesOptions,
  ): AsyncGenerator<readonly [string, Uint8Array], void, undefined> {
    const { longest = Number.POSITIVE_INFINITY } = options;
    const reading: OperationOptions = { signal: options.signal };
    const extent = { limit: Math.max(1, Math.min(WINDOW_BYTES, longest)), isKept: true };
    for (const bucket of this.#session.buckets) {
      for await (const page of this.pages(bucket, reading)) {
        for (let at = 0; at < page.length; ) {
          const keys = page.slice(at, at + GROUP_KEYS);
          for (const part of await this.#reader.first(bucket, keys, reading, extent)) {
            at++;
            let held = [...part.pieces];
            let bytes = held.reduce((sum, { byteLength }) => sum + byteLength, 0);
            for await (const piece of this.#reader.rest(bucket, part, reading, extent)) {
              held.push(piece);
              bytes += piece.byteLength;
              if (bytes <= longest) continue;
              for (const long of held) yield [part.key, own([long])];
              held = [];
            }
            if (held.length > 0) yield [part.key, own(held)];
          }
        }
      }
    }
  }

  async count(options: OperationOptions): Promise<number> {
    let count = 0;
    for (const bucket of this.#session.buckets) {
      if (this.#session.expireAfter > 0) {
        for await (const page of this.pages(bucket, options)) count += page.length;
        continue;
      }
      await this.check(bucket, options);
      const { connection } = this.#session;
      const length = () => connection.send(bucket.keys, ["HLEN", bucket.keys]);
      count += Number(await this.#session.retry(length, options));
    }
    return count;
  }

  /** The keys of a bucket, each once. */
  async *pages(
    bucket: BucketNames,
    options: OperationOptions,
  ): AsyncGenerator<string[], void, undefined> {
    await this.check(bucket, options);
    const { connection, expireAfter } = this.#session;
    const seen = new Set<string>(); // A scan may return a key twice while the hash grows.
    let cursor = "0";
    do {
      const command = ["HSCAN", bucket.keys, cursor, "COUNT", "1000"];
      const scan = () => connection.send(bucket.keys, command);
      const reply = await this.#session.retry(scan, options);
      if (!Array.isArray(reply) || !Array.isArray(reply[1])) throw strangeReply(reply, connection);
      const [next, fields] = reply as [Reply, Reply[]];
      cursor = String(next);
      let page: string[] = [];
      for (let i = 0; i < fields.length; i += 2) {
        const key = String(fields[i]);
        if (!seen.has(key)) page.push(key);
        seen.add(key);
      }
      if (expireAfter > 0 && page.length > 0) page = await this.#present(bucket, page, options);
      yield page;
    } while (cursor !== "0");
  }

  async #present(
    bucket: BucketNames,
    page: readonly string[],
    options: OperationOptions,
  ): Promise<string[]> {
    const keys = [bucket.keys, ...page.map((key) => bucket.value(key))];
    const present = await this.#session.retry(
      () => PRESENT.run(this.#session.connection, keys, []),
      options,
    );
    return page.filter((_, i) => (present as number[])[i] === 1);
  }

  /** Waits while another store has the lock, and checks for lost writes. */
  async check(bucket: BucketNames, options: OperationOptions): Promise<void> {
    const { connection, token } = this.#session;
    const { writer, last } = (this.#writers[bucket.index] as BucketWriter).known;
    const args = [token, writer, String(last)];
    await this.#session.retry(() => CHECK.run(connection, bucket.common, args), options, {
      bucket,
      last,
    });
  }
}

/** The pieces as one, in memory that nothing else shares. */
function own(pieces: readonly Buffer[]): Uint8Array {
  const [first] = pieces;
  return new Uint8Array(pieces.length === 1 && first ? first : Buffer.concat(pieces));
}
