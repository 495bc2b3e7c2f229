import { decodeKey, type OperationOptions, PartdError } from "@partd/core";
import { type GetOptions, memoryFor } from "@partd/core/author";
import type { Reply } from "../connection/connection.js";
import { type BucketNames, bucketOf } from "../data-set.js";
import { IS_SAME, MEASURE, READ, READ_ON } from "../scripts/read-scripts.js";
import { ScriptAnswer, type Session } from "../session.js";
import { strangeReply } from "../trouble.js";
import type { BucketWriter } from "../write/bucket-writer.js";

/** The part of a value that one step has read. */
export interface FirstPart {
  readonly key: string;
  readonly generation: string;
  /** The number of chunks, and the index of the first that is not in `pieces`. */
  readonly length: number;
  readonly next: number;
  readonly pieces: readonly Buffer[];
  /** Chunks that one LRANGE reads, or 0 if scripts read on. */
  readonly listed: number;
}

/** Reads values in steps of about a MiB, as they were when their first part was read. */
export class Reader {
  readonly #session: Session;
  readonly #writers: readonly BucketWriter[];

  constructor(session: Session, writers: readonly BucketWriter[]) {
    this.#session = session;
    this.#writers = writers;
  }

  /**
   * @param states receives the state of each value, in the form that {@link REMOVE_ALL} compares.
   */
  async get(
    keys: readonly string[],
    options: GetOptions,
    states?: Map<string, string>,
  ): Promise<Uint8Array[]> {
    const values = new Array<Uint8Array | readonly Buffer[]>(keys.length);
    const groups = this.#groups(keys);
    const work = async () => {
      for (let group = groups.next(); !group.done; group = groups.next()) {
        const { bucket, places } = group.value;
        for (let at = 0; at < places.length; ) {
          const wanted = places.slice(at).map((place) => keys[place] as string);
          for (const first of await this.first(bucket, wanted, options)) {
            const { part, list } = await this.#whole(bucket, first, options);
            states?.set(part.key, `${part.generation} ${part.length}`);
            // Frees the pieces, unless memory is to be had in the order of the keys.
            values[places[at++] as number] = options.allocate ? list : joined(list, options);
          }
        }
      }
    };
    await Promise.all(Array.from({ length: LANES }, work));
    return values.map((value) => (value instanceof Uint8Array ? value : joined(value, options)));
  }

  /**
   * All pieces of a value. If the value is removed meanwhile, it is read again, this time kept for
   * its reader.
   */
  async #whole(
    bucket: BucketNames,
    first: FirstPart,
    options: OperationOptions,
  ): Promise<{ part: FirstPart; list: Buffer[] }> {
    let part = first;
    for (let extent = UNKEPT; ; extent = KEPT) {
      const list = [...part.pieces];
      try {
        for await (const piece of this.#pieces(bucket, part, options, extent)) list.push(piece);
        return { part, list };
      } catch (error) {
        if (!isGone(error) || extent === KEPT) throw isGone(error) ? gone(part.key, error) : error;
      }
      [part] = (await this.first(bucket, [part.key], options, KEPT)) as [FirstPart];
    }
  }

  async *stream(
    key: string,
    options: OperationOptions,
    opened: FirstPart,
  ): AsyncGenerator<Buffer, void, undefined> {
    if (opened.pieces.length > 0) yield Buffer.concat(opened.pieces);
    yield* this.rest(this.#bucket(key), opened, options);
  }

  /** Fixes a value for reading, and reads its first part. */
  async open(key: string, options: OperationOptions): Promise<FirstPart> {
    const [part] = await this.first(this.#bucket(key), [key], options, KEPT);
    return part as FirstPart;
  }

  /** Reads the first parts of as many keys as one step allows, at least one, in order. */
  async first(
    bucket: BucketNames,
    keys: readonly string[],
    options: OperationOptions,
    extent: Extent = UNKEPT,
  ): Promise<FirstPart[]> {
    const parts = await this.#step(bucket, keys, options, extent, true);
    const short = parts.filter(({ listed, length }) => listed === length && length > 0);
    if (short.length === 0) return parts;
    const lists = await Promise.all(
      short.map(({ key, length }) => this.#list(bucket, key, 0, length, options)),
    );
    const same = await this.#areSame(bucket, short, options, extent);
    return Promise.all(
      parts.map(async (part) => {
        const at = short.indexOf(part);
        if (at < 0) return part;
        const chunks = lists[at] as Buffer[];
        if (same[at] && chunks.length === part.length) {
          return { ...part, next: part.length, pieces: chunks };
        }
        // It was removed meanwhile.
        const [again] = await this.#step(bucket, [part.key], options, extent, false);
        return again as FirstPart;
      }),
    );
  }

  async #step(
    bucket: BucketNames,
    keys: readonly string[],
    options: OperationOptions,
    { limit, isKept }: Extent,
    isListed: boolean,
  ): Promise<FirstPart[]> {
    const expires = this.#session.expireAfter > 0 ? "1" : "0";
    const reply = (await this.#known(bucket, options, (args) =>
      READ.run(
        this.#session.connection,
        [...bucket.common, ...keys.map((key) => bucket.value(key))],
        [...args, String(limit), isKept ? "1" : "0", isListed ? "1" : "0", expires],
      ),
    ).catch((error: unknown) => {
      throw isAnswer(error, "PARTDEVICTED")
        ? evicted(keys[Number(error.detail)] as string, error)
        : error;
    })) as Reply[];
    if (!Array.isArray(reply)) throw strangeReply(reply, this.#session.connection);
    const parts: FirstPart[] = [];
    for (let i = 0; i < reply.length; i += 4) {
      const length = reply[i + 1] as number;
      const value = reply[i + 3] as Buffer | number;
      const size = typeof value === "number" ? value : 0;
      parts.push({
        key: keys[i / 4] as string,
        generation: String(reply[i]),
        length,
        next: reply[i + 2] as number,
        pieces: typeof value === "number" || value.byteLength === 0 ? [] : [value],
        listed: size <= limit ? size && length : Math.ceil((length * limit) / size),
      });
    }
    return parts;
  }

  async #list(
    bucket: BucketNames,
    key: string,
    from: number,
    to: number,
    options: OperationOptions,
  ): Promise<Buffer[]> {
    const { connection } = this.#session;
    const value = bucket.value(key);
    const list = () => connection.send(value, ["LRANGE", value, String(from), String(to - 1)]);
    return (await this.#session.retry(list, options)) as Buffer[];
  }

  /** Whether the values have not been removed since. Asked once the replies of LRANGE are there. */
  async #areSame(
    bucket: BucketNames,
    parts: readonly FirstPart[],
    options: OperationOptions,
    { isKept }: Extent,
  ): Promise<boolean[]> {
    const keys = [bucket.keys, bucket.reads, ...parts.map(({ key }) => bucket.value(key))];
    const args = [isKept ? "1" : "0", ...parts.map(({ generation }) => generation)];
    const ask = () => IS_SAME.run(this.#session.connection, keys, args);
    return ((await this.#session.retry(ask, options)) as number[]).map((same) => same === 1);
  }

  /** The rest of a value after a kept first part, even if the value is removed meanwhile. */
  async *rest(
    bucket: BucketNames,
    part: FirstPart,
    options: OperationOptions,
    extent = KEPT,
  ): AsyncGenerator<Buffer, void, undefined> {
    try {
      yield* this.#pieces(bucket, part, options, extent);
    } catch (error) {
      throw isGone(error) ? gone(part.key, error) : error;
    }
  }

  /** Requests the next pieces before yielding the current ones. */
  async *#pieces(
    bucket: BucketNames,
    part: FirstPart,
    options: OperationOptions,
    extent: Extent,
  ): AsyncGenerator<Buffer, void, undefined> {
    const { length } = part;
    let next = part.next;
    if (part.listed > 0) {
      const lists: Promise<Buffer[]>[] = [];
      for (let asked = next; next < length; ) {
        for (; asked < length && lists.length < LISTS_AHEAD; asked += part.listed) {
          const to = Math.min(asked + part.listed, length);
          const list = this.#list(bucket, part.key, asked, to, options);
          list.catch(() => {}); // The caller may have stopped reading.
          lists.push(list);
        }
        const chunks = (await lists.shift()) as Buffer[];
        const isWhole = chunks.length === Math.min(part.listed, length - next);
        const [isSame] = await this.#areSame(bucket, [part], options, extent);
        if (!isWhole || !isSame) break; // It was removed: read on under its other name.
        yield* chunks;
        next += chunks.length;
      }
    }
    if (next < length) yield* this.#windows(bucket, part, next, options, extent);
  }

  async *#windows(
    bucket: BucketNames,
    { key, generation, length }: FirstPart,
    start: number,
    options: OperationOptions,
    { limit, isKept }: Extent,
  ): AsyncGenerator<Buffer, void, undefined> {
    const keys = [bucket.keys, bucket.reads, bucket.value(key), bucket.detached(key, generation)];
    const read = (from: number) => {
      const how = [generation, from, length, limit, isKept ? 1 : 0].map(String);
      const attempt = () => READ_ON.run(this.#session.connection, keys, how);
      const reply = this.#session.retry(attempt, options);
      reply.catch(() => {}); // The caller may have stopped reading.
      return reply as Promise<[number, Buffer]>;
    };
    for (let reply = read(start); ; ) {
      const [next, bytes] = await reply;
      if (next < length) reply = read(next);
      yield bytes;
      if (next >= length) return;
    }
  }

  async sizes(keys: readonly string[], options: OperationOptions): Promise<number[]> {
    const sizes = new Array<number>(keys.length).fill(0);
    for (const { bucket, places } of this.#groups(keys)) {
      for (let at = 0, from = 0; at < places.length; ) {
        const names = places.slice(at).map((place) => bucket.value(keys[place] as string));
        const reply = (await this.#known(bucket, options, (args) =>
          MEASURE.run(
            this.#session.connection,
            [...bucket.common, ...names],
            [...args, String(from)],
          ),
        )) as number[];
        for (let i = 0; i < reply.length; i += 2) {
          sizes[places[at] as number]! += reply[i] as number;
          from = reply[i + 1] as number;
          if (from >= 0) break;
          from = 0;
          at++;
        }
      }
    }
    return sizes;
  }

  #bucket(key: string): BucketNames {
    const { buckets } = this.#session;
    return buckets[bucketOf(key, buckets.length)] as BucketNames;
  }

  /** Groups positions in `keys` by bucket, a few at a time. */
  *#groups(keys: readonly string[]): Generator<{ bucket: BucketNames; places: number[] }> {
    const { buckets } = this.#session;
    const open = new Map<number, number[]>();
    for (let i = 0; i < keys.length; i++) {
      const index = bucketOf(keys[i] as string, buckets.length);
      const places = open.get(index);
      if (!places) open.set(index, [i]);
      else if (places.push(i) === GROUP_KEYS) {
        open.delete(index);
        yield { bucket: buckets[index] as BucketNames, places };
      }
    }
    for (const [index, places] of open) yield { bucket: buckets[index] as BucketNames, places };
  }

  /**
   * Makes a call that compares this writer's last change, so that lost writes are not read as empty
   * values.
   */
  #known(
    bucket: BucketNames,
    options: OperationOptions,
    call: (args: string[]) => Promise<Reply>,
  ): Promise<Reply> {
    const { writer, last } = (this.#writers[bucket.index] as BucketWriter).known;
    const attempt = () => call([this.#session.token, writer, String(last)]);
    return this.#session.retry(attempt, options, { bucket, last });
  }
}

/** The pieces in one array, owned by the caller. */
function joined(pieces: readonly Buffer[], options: GetOptions): Uint8Array {
  let byteLength = 0;
  for (const piece of pieces) byteLength += piece.byteLength;
  const value = memoryFor(byteLength, options);
  let end = 0;
  for (const piece of pieces) {
    value.set(piece, end);
    end += piece.byteLength;
  }
  return value;
}

/** How much one step reads, and whether the value stays readable after its removal. */
export interface Extent {
  /** Bytes. */
  readonly limit: number;
  readonly isKept: boolean;
}

function isGone(error: unknown): boolean {
  return isAnswer(error, "PARTDGONE");
}

function isAnswer(error: unknown, code: string): error is ScriptAnswer {
  return error instanceof ScriptAnswer && error.code === code;
}

function evicted(key: string, cause: unknown): PartdError {
  return new PartdError(
    "ERR_PARTD_IO",
    "The Redis server has lost the value: it was evicted (set maxmemory-policy to noeviction), or something else deleted it. Write it again, from the source; delete() it before.",
    { key: decodeKey(key), cause },
  );
}

function gone(key: string, cause: unknown): PartdError {
  return new PartdError(
    "ERR_PARTD_IO",
    "The value was deleted and its reader rested for more than a minute, or it has expired: it cannot be read to its end.",
    { key: decodeKey(key), cause },
  );
}

/** Bytes that one step reads. */
export const WINDOW_BYTES = 1 << 20;
const UNKEPT: Extent = { limit: WINDOW_BYTES, isKept: false };
const KEPT: Extent = { limit: WINDOW_BYTES, isKept: true };
/** Keys in one step: with more, most would be left for the next step. */
export const GROUP_KEYS = 128;
/** LRANGE commands on their way for one value. */
const LISTS_AHEAD = 2;
/** Concurrent steps. */
const LANES = 4;
