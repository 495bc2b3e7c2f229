import type { Argument, Connection, Reply } from "../connection/connection.js";
import type { BucketNames } from "../data-set.js";
import { APPEND, BEGIN_PUSH, END_PUSH } from "../scripts/change-scripts.js";
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
interface Attempt {
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

/** The part of a batch that belongs to one bucket. */
export interface PendingAppend {
  readonly keys: readonly string[];
  readonly values: readonly Uint8Array[];
  /** Bytes of its values when it was made. */
  readonly byteLength: number;
  /** Its bytes in a call. */
  readonly cost: number;
  readonly isWanted: boolean;
  resolve(): void;
  reject(error: unknown): void;
}

type Entries = Pick<PendingAppend, "keys" | "values">;

/** Appends that are sent in one call. */
export class AppendCall implements Change {
  readonly #bucket: BucketNames;
  readonly #appends: readonly PendingAppend[];
  /** Keys and values of the appends. */
  #entries: readonly Entries[];
  /** What was sent, for a repetition: by then a caller may have changed its values. */
  #packed: ReturnType<typeof pack> | undefined;

  constructor(bucket: BucketNames, appends: readonly PendingAppend[]) {
    this.#bucket = bucket;
    this.#appends = appends;
    this.#entries = appends;
  }

  get isWanted(): boolean {
    return this.#appends.some(({ isWanted }) => isWanted);
  }

  resolve(): void {
    for (const append of this.#appends) append.resolve();
  }

  reject(error: unknown): void {
    for (const append of this.#appends) append.reject(error);
  }

  /** Long values are pushed by commands; a repetition has them in the script's arguments. */
  async send(attempt: Attempt): Promise<Reply> {
    const { connection, isFirst } = attempt;
    if (isFirst && this.#entries.some(({ values }) => values.some(isLong))) {
      if (connection.mayTransact(this.#bucket.target(0))) return this.#push(attempt);
    }
    return this.#run(attempt);
  }

  #run({ connection, keys, args, replicas }: Attempt): Promise<Reply> {
    this.#packed ??= pack(this.#bucket, this.#entries);
    const { names, lengths, chunks } = this.#packed;
    return APPEND.run(connection, [...keys, ...names], [...args, lengths, chunks], replicas);
  }

  /**
   * Pushes the values of keys with long ones by commands: in a script's arguments the server copies
   * them twice more, which takes three times as long.
   */
  #push({ connection, keys, args, replicas }: Attempt): Promise<Reply> {
    // For a repetition. The long ones are copies already.
    this.#entries = this.#entries.map((some) => ({
      keys: some.keys,
      values: some.values.map((value) => (isLong(value) ? value : new Uint8Array(value))),
    }));
    const { short, long } = this.#divide();
    const { names, lengths, chunks } = pack(this.#bucket, [short]);
    const values = [...long.keys()].map((key) => this.#bucket.value(key));
    const targets = values.map((_, i) => this.#bucket.target(i));
    const pairs = [...values, ...targets];
    const begin = [...args, lengths, chunks];
    return connection.transact(
      this.#bucket.writers,
      [
        BEGIN_PUSH.command([...keys, ...pairs, ...names], [...begin, String(values.length)]),
        ...[...long.values()].map((list, i) => ["RPUSHX", targets[i] as string, ...list]),
        END_PUSH.command([...keys, ...pairs], args),
      ],
      replicas,
    );
  }

  /** Divides the appends into keys that have long values, with their chunks, and the others. */
  #divide() {
    const long = new Map<string, Buffer[]>();
    for (const { keys, values } of this.#entries) {
      for (const [i, value] of values.entries()) if (isLong(value)) long.set(keys[i] as string, []);
    }
    const short: { keys: string[]; values: Uint8Array[] } = { keys: [], values: [] };
    for (const { keys, values } of this.#entries) {
      for (const [i, value] of values.entries()) {
        const chunks = long.get(keys[i] as string);
        if (chunks) chunks.push(...chunksOf(value));
        else {
          short.keys.push(keys[i] as string);
          short.values.push(value);
        }
      }
    }
    return { short, long };
  }
}

/**
 * Joins what is appended to one key: each chunk costs the server 1.2 µs, and each of its readers
 * 0.5 µs. All chunks go end to end in one argument: the client makes a write for each Buffer, which
 * costs 2 µs instead of 0.2 µs a chunk.
 */
function pack(bucket: BucketNames, appends: readonly Entries[]) {
  const { distinct, sizes, places } = join(appends);
  const names: string[] = [];
  const lengths: number[] = [];
  const ends: number[] = [];
  let end = 0;
  for (let place = 0; place < distinct.length; place++) {
    const size = sizes[place] as number;
    const name = bucket.value(distinct[place] as string);
    for (let at = 0; at < size; at += CHUNK_BYTES) {
      names.push(name);
      lengths.push(Math.min(CHUNK_BYTES, size - at));
    }
    ends.push(end);
    end += size;
  }
  const chunks = Buffer.allocUnsafe(end);
  let next = 0;
  for (const { values } of appends) {
    for (let i = 0; i < values.length; i++) {
      const value = values[i] as Uint8Array;
      const place = places[next++] as number;
      chunks.set(value, ends[place]);
      ends[place] = (ends[place] as number) + value.length;
    }
  }
  const encoded = Buffer.allocUnsafe(4 * lengths.length);
  for (let i = 0; i < lengths.length; i++) encoded.writeUInt32LE(lengths[i] as number, 4 * i);
  return { names, lengths: encoded, chunks };
}

/**
 * Gives each key a place. Appends often have the same keys in the same order: the place after the
 * last one is tried before the key is looked up.
 *
 * @returns the distinct keys, the bytes appended to each, and the place of each value's key.
 */
function join(appends: readonly Entries[]) {
  const known = new Map<string, number>();
  const distinct: string[] = [];
  const sizes: number[] = [];
  const places: number[] = [];
  for (const { keys, values } of appends) {
    let place: number | undefined = -1;
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i] as string;
      const size = (values[i] as Uint8Array).length;
      if (distinct[++place] !== key) {
        place = known.get(key);
        if (place === undefined) {
          place = distinct.length;
          known.set(key, place);
          distinct.push(key);
          sizes.push(0);
        }
      }
      sizes[place] = (sizes[place] as number) + size;
      places.push(place);
    }
  }
  return { distinct, sizes, places };
}

/** The chunks of a value, as Buffers over its memory. */
export function* chunksOf(value: Uint8Array): Iterable<Buffer> {
  const buffer = value.buffer as ArrayBuffer;
  for (let at = 0; at < value.length; at += CHUNK_BYTES) {
    yield Buffer.from(buffer, value.byteOffset + at, Math.min(CHUNK_BYTES, value.length - at));
  }
}

/** A value's bytes in a call, including its key's name. */
export function costOf(key: string, value: Uint8Array): number {
  return value.length + nameCostOf([key]);
}

/** The bytes of keys' names in a call. */
export function nameCostOf(keys: readonly string[]): number {
  let bytes = 40 * keys.length;
  for (const { length } of keys) bytes += length;
  return bytes;
}

/** Whether a value is sent from where it lies. */
export function isLong({ length }: Uint8Array): boolean {
  return length >= LONG_BYTES;
}

/**
 * The longest chunk: one step reads two of them. With what Redis keeps beside it, it just fits into
 * memory of 512 KiB; one of 512 KiB itself takes 640 (jemalloc has nothing in between).
 */
const CHUNK_BYTES = (512 << 10) - 64;
/** From this size on, a value is worth a transaction, whose commands take the server 40 µs. */
const LONG_BYTES = 32 << 10;
