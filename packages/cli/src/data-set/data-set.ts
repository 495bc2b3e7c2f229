import { readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { Key, Store } from "@partd/core";
import { nearest, sizesOf } from "@partd/core/author";
import type { LogStore } from "@partd/log";
import type { Call, Options } from "../command/command.js";
import { UsageError } from "../command/failure.js";

export type Kind = "file" | "log" | "server";

export interface OpenOptions {
  /** Whether to create the data set if there is none. Default false. */
  readonly create?: boolean;
  /** Whether appends outlast a loss of power. Default false. */
  readonly fsync?: boolean;
  /** Whether damaged records are passed over. Default false; for a LogStore only. */
  readonly salvage?: boolean;
}

/** A store of bytes on a disk or behind a server, with its kind and place. */
export class DataSet implements AsyncDisposable {
  readonly kind: Kind;
  /** The path of its directory, or its address. */
  readonly place: string;
  readonly store: Store;

  private constructor(kind: Kind, place: string, store: Store) {
    this.kind = kind;
    this.place = place;
    this.store = store;
  }

  /**
   * Opens the data set at `place`, a path or an address. A directory becomes a data set only if
   * `create` says so, and a directory of another kind is refused.
   *
   * @throws `UsageError` if there is no data set, or if --store names another kind.
   */
  static async open(place: string, options: Options, open: OpenOptions = {}): Promise<DataSet> {
    if (isAddress(place)) {
      const { Client } = await import("@partd/server");
      const token = tokenOf(options);
      const ca = options.text("ca");
      const tls = ca === undefined ? undefined : { ca: readText(ca, "--ca") };
      return new DataSet("server", place, new Client(place, { token, tls, timeout: PATIENCE }));
    }
    if (/^[a-z]+:\/\//i.test(place)) {
      throw new UsageError(`${place}: a server's address begins with ws://, wss:// or ipc://`);
    }
    const path = resolve(place);
    const kind = await kindOf(path, options.text("store") as "file" | "log" | undefined, open);
    if (kind === "log") {
      const { LogStore } = await import("@partd/log");
      return new DataSet(kind, path, new LogStore(path, open));
    }
    const { FileStore } = await import("@partd/file");
    return new DataSet(kind, path, new FileStore(path, { fsync: open.fsync }));
  }

  /** The store of a data set of the kind `"log"`. */
  get log(): LogStore {
    return this.store as LogStore;
  }

  /** Sizes of all keys, some at a time, in the order of the listing. No value is read. */
  async *sizes(signal: AbortSignal): AsyncGenerator<{ key: Key; bytes: number }> {
    for await (const keys of batches(this.store.keys({ signal }), AT_ONCE)) {
      const sizes = await sizesOf(this.store, keys, { signal });
      for (const [i, key] of keys.entries()) yield { key, bytes: sizes[i] as number };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
  }
}

/**
 * Opens the data set that a command's first argument names.
 *
 * @throws `UsageError` also for options that mean nothing there.
 */
export async function openDataSet({ arguments: [place = ""], options }: Call, open?: OpenOptions) {
  requireMeant(place, options);
  return DataSet.open(place, options, open);
}

/** @throws `UsageError` for an option of servers with a directory, and the other way round. */
function requireMeant(place: string, options: Options): void {
  const refuse = (names: readonly string[], why: string) => {
    const stray = names.find((name) => options.has(name));
    if (stray !== undefined) throw new UsageError(`--${stray} ${why}`);
  };
  if (!isAddress(place)) {
    refuse(["token-file", "ca"], `is for a server's address, and ${place} is a path`);
    return;
  }
  refuse(["store"], `says what a directory is, and ${place} is a server`);
  refuse(["fsync"], "is for a directory: whether a server does it, partd serve --fsync says");
  if (!/^wss:/i.test(place)) refuse(["ca"], `is for wss://, and ${place} is not encrypted`);
}

/** The token of --token-file or the environment; `undefined` without either. */
export function tokenOf(options: Options): string | undefined {
  const file = options.text("token-file");
  const token =
    file === undefined ? process.env.PARTD_TOKEN : readText(file, "--token-file").trim();
  if (file !== undefined && token === "") throw new UsageError(`--token-file ${file} is empty`);
  return token || undefined;
}

/** Reads a file that an option names. @throws `UsageError` if it cannot be read. */
export function readText(path: string, option: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError(`${option} ${path} cannot be read: ${(error as Error).message}`);
  }
}

/** Whether a place is a server's address, and not a path. */
export function isAddress(place: string): boolean {
  return /^(?:ipc|wss?):\/\//i.test(place);
}

async function kindOf(
  path: string,
  wanted: "file" | "log" | undefined,
  { create = false }: OpenOptions,
): Promise<"file" | "log"> {
  const names = await readdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    if (error.code === "ENOTDIR") throw new UsageError(`${path} is a file, not a data set`);
    throw error;
  });
  const found = names?.includes(".partd-log")
    ? "log"
    : names?.includes(".partd") || names?.includes(".lock")
      ? "file"
      : undefined;
  if (found !== undefined) {
    if (wanted === undefined || wanted === found) return found;
    throw new UsageError(`${path} is a ${NAMES[found]}, not a ${NAMES[wanted]}; leave --store out`);
  }
  if (create && (names === undefined || names.length === 0)) return wanted ?? "log";
  if (names === undefined) {
    const other = nearest(basename(path), await foldersBeside(path));
    const hint = other === undefined ? "" : `; did you mean ${join(dirname(path), other)}?`;
    throw new UsageError(`there is no data set ${path}${hint}`);
  }
  if (wanted === "file" && !create) return "file";
  throw new UsageError(
    `${path} is a directory, but no data set: it holds neither .partd (a FileStore) nor .partd-log (a LogStore)`,
  );
}

async function foldersBeside(path: string): Promise<string[]> {
  const entries = await readdir(dirname(path), { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}

async function* batches<T>(items: AsyncIterable<T>, size: number): AsyncGenerator<T[]> {
  let batch: T[] = [];
  for await (const item of items) {
    batch.push(item);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

const NAMES = { file: "FileStore", log: "LogStore" };

/** Milliseconds without a connection after which a server counts as unreachable. */
const PATIENCE = 5_000;

/** Keys whose sizes are asked for at once. */
const AT_ONCE = 1024;
