import { PartdError } from "@partd/core";
import type { Connection } from "./connection/connection.js";
import { strangeReply } from "./trouble.js";

/** The names of a bucket's keys. The braces put them in one slot of a cluster. */
export class BucketNames {
  readonly index: number;
  readonly lock: string;
  readonly writers: string;
  readonly keys: string;
  readonly reads: string;
  readonly #base: string;
  readonly #values: string;

  constructor(prefix: string, index: number) {
    this.index = index;
    this.#base = `{${prefix}/${index}}:`;
    this.lock = `${this.#base}lock`;
    this.writers = `${this.#base}writers`;
    this.keys = `${this.#base}keys`;
    this.reads = `${this.#base}reads`;
    this.#values = `${this.#base}v:`;
  }

  /** The four keys with which most scripts begin. */
  get common(): string[] {
    return [this.lock, this.writers, this.keys, this.reads];
  }

  /** The list of a value's chunks. */
  value(key: string): string {
    return this.#values + key;
  }

  /** The list of a value that was removed while it was read. */
  detached(key: string, generation: string): string {
    return `${this.#base}d:${generation}:${key}`;
  }

  /** The name of a list while a transaction pushes to it: outside of that it does not exist. */
  target(index: number): string {
    return `${this.#base}t:${index}`;
  }

  /** The list of staged chunks of a large batch. */
  staging(token: string): string {
    return `${this.#base}s:${token}`;
  }
}

/** The settings that are fixed when a data set is made. */
export interface Meta {
  readonly version: 1;
  readonly buckets: number;
  /** Milliseconds, or 0 for never. */
  readonly expireAfter: number;
}

/**
 * Creates the data set, or opens the existing one.
 *
 * @param wanted the options given.
 * @throws `ERR_PARTD_VALUE` if the options differ from the data set's; `ERR_PARTD_CORRUPT` if the
 *   prefix holds something else; `ERR_PARTD_IO` if the server evicts data.
 */
export async function openMeta(
  connection: Connection,
  prefix: string,
  wanted: { readonly buckets?: number | undefined; readonly expireAfter?: number | undefined },
): Promise<Meta> {
  const key = `{${prefix}}:meta`;
  await checkEviction(connection, key);
  const made: Meta = {
    version: 1,
    buckets: wanted.buckets ?? (connection.isCluster ? CLUSTER_BUCKETS : 1),
    expireAfter: wanted.expireAfter ?? 0,
  };
  // A data set that is there is opened without a write, which a full server would refuse.
  const read = async () => {
    const text = await connection.send(key, ["GET", key]);
    if (text === null || Buffer.isBuffer(text)) return text;
    throw strangeReply(text, connection);
  };
  let text = await read();
  if (text === null) {
    const set = await connection.send(key, ["SET", key, JSON.stringify(made), "NX"]);
    if (set !== null) return made;
    text = await read();
  }
  const found = parseMeta(String(text), prefix);
  for (const name of ["buckets", "expireAfter"] as const) {
    if (wanted[name] === undefined || wanted[name] === found[name]) continue;
    throw new PartdError(
      "ERR_PARTD_VALUE",
      `The data set ${prefix} was made with ${name} ${found[name]}, not ${wanted[name]}: leave the option out, or give another prefix.`,
    );
  }
  return found;
}

/** A server that evicts any key when its memory is full would lose parts of the data in silence. */
async function checkEviction(connection: Connection, key: string): Promise<void> {
  const info = String(await connection.send(key, ["INFO", "memory"]).catch(refused));
  const [, policy = ""] = /^maxmemory_policy:(allkeys-\S+)/m.exec(info) ?? [];
  if (policy === "" || /^maxmemory:0\s*$/m.test(info)) return;
  throw new PartdError(
    "ERR_PARTD_IO",
    `The Redis server evicts data when its memory is full (maxmemory-policy ${policy}): set the policy to noeviction, or take another server.`,
  );
}

/** The reply if the user may not ask. */
function refused(error: Error): string {
  if (/^(NOPERM|ERR) /.test(error.message)) return "";
  throw error;
}

function parseMeta(text: string, prefix: string): Meta {
  try {
    const { version, buckets, expireAfter } = JSON.parse(text) as Meta;
    const isMeta =
      version === 1 &&
      Number.isInteger(buckets) &&
      buckets >= 1 &&
      buckets <= MOST_BUCKETS &&
      Number.isInteger(expireAfter) &&
      expireAfter >= 0;
    if (isMeta) return { version, buckets, expireAfter };
  } catch {}
  throw new PartdError(
    "ERR_PARTD_CORRUPT",
    `The key {${prefix}}:meta does not describe a data set of this version of partd: give another prefix.`,
  );
}

/** The bucket of an encoded key: FNV-1a with a final mix, so that similar keys are spread. */
export function bucketOf(key: string, buckets: number): number {
  if (buckets === 1) return 0;
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) % buckets;
}

export const MOST_BUCKETS = 4096;
/** Enough for clusters of dozens of servers, and few enough that a batch makes few calls. */
const CLUSTER_BUCKETS = 64;
