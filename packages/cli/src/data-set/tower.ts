import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Codec, Store } from "@partd/core";
import { nearest } from "@partd/core/author";
import type { Options } from "../command/command.js";
import { CODECS, COMPRESSIONS } from "../command/common-options.js";
import { UsageError } from "../command/failure.js";

/** A store of decoded values, and its codec. */
export interface Tower {
  readonly store: Store<unknown>;
  /** One of our short names, or the value of --codec; `undefined` for bytes. */
  readonly codec: string | undefined;
}

/** Puts --compress and, outside of it, --codec around a store of bytes. */
export async function buildTower(store: Store, options: Options): Promise<Tower> {
  const compress = options.text("compress");
  const codec = options.text("codec");
  let tower: Store<unknown> = store;
  if (compress !== undefined) {
    tower = await around(tower as Store, compress, OUR_COMPRESSIONS, "--compress", COMPRESSIONS);
  }
  if (codec !== undefined) {
    tower = await around(tower as Store, codec, OUR_CODECS, "--codec", CODECS);
  }
  return { store: tower, codec };
}

/** @throws `UsageError` for a codec whose values are made by programs only. */
export function requireAppendable(codec: string | undefined): void {
  if (codec !== "ndarray" && codec !== "arrow") return;
  throw new UsageError(`--codec ${codec} can be read here, but not appended: write a program`);
}

type Decorator = new (store: Store) => Store<unknown>;
type Load = () => Promise<Decorator>;

const OUR_CODECS: { readonly [name: string]: Load } = {
  __proto__: null as never,
  json: async () => (await import("@partd/codec-json")).Json,
  text: async () => (await import("@partd/codec-text")).Text,
  lines: async () => (await import("@partd/codec-text")).Lines,
  v8: async () => (await import("@partd/codec-v8")).V8,
  msgpack: async () => (await import("@partd/codec-msgpack")).MsgPack,
  pickle: async () => (await import("@partd/codec-pickle")).Pickle,
  ndarray: async () => (await import("@partd/codec-ndarray")).NdArray,
  arrow: async () => (await import("@partd/codec-arrow")).Arrow as Decorator,
};

const OUR_COMPRESSIONS: { readonly [name: string]: Load } = {
  __proto__: null as never,
  snappy: async () => (await import("@partd/compress-snappy")).Snappy,
  lz4: async () => (await import("@partd/compress-lz4")).LZ4,
  zlib: async () => (await import("@partd/compress-zlib")).ZLib,
  gzip: async () => (await import("@partd/compress-zlib")).Gzip,
  zstd: async () => (await import("@partd/compress-zstd")).Zstd,
  bz2: async () => (await import("@partd/compress-bz2")).BZ2,
  blosc: async () => (await import("@partd/compress-blosc")).Blosc,
};

async function around(
  store: Store,
  name: string,
  ours: { readonly [name: string]: Load },
  option: string,
  names: readonly string[],
): Promise<Store<unknown>> {
  const load = ours[name];
  if (load !== undefined) return new (await load())(store);
  const near = nearest(name, names);
  if (near !== undefined && !/[/@.]/.test(name)) {
    throw new UsageError(`${option} ${name}: did you mean ${near}?`);
  }
  const { Encode } = await import("@partd/core");
  return new Encode(store, await foreignCodec(name, option, names));
}

/** The first codec that an npm package, or a file, exports. */
async function foreignCodec(
  name: string,
  option: string,
  names: readonly string[],
): Promise<Codec<unknown>> {
  const exported = await importFrom(name).catch((error: NodeJS.ErrnoException) => {
    const missing = error.code === "ERR_MODULE_NOT_FOUND" || error.code === "MODULE_NOT_FOUND";
    throw new UsageError(
      missing
        ? `${option} ${name}: that is neither one of ${names.join(", ")} nor a package that is installed here (npm install ${name})`
        : `${option} ${name} cannot be loaded: ${error.message}`,
    );
  });
  for (const value of Object.values(exported)) if (isCodec(value)) return value;
  throw new UsageError(
    `${option} ${name} exports no codec: an object with encode, decode and join`,
  );
}

/** Imports a package, which is searched from the working directory, then beside the command itself. */
async function importFrom(name: string): Promise<object> {
  if (/^\.{0,2}[/\\]/.test(name)) return import(pathToFileURL(resolve(name)).href);
  for (let folder = process.cwd(); ; folder = dirname(folder)) {
    const entry = await entryOf(join(folder, "node_modules", name));
    if (entry !== undefined) return import(pathToFileURL(entry).href);
    if (folder === dirname(folder)) return import(name);
  }
}

/** The entry module of an installed package; `undefined` if it is not installed. */
async function entryOf(folder: string): Promise<string | undefined> {
  const text = await readFile(join(folder, "package.json"), "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  const { exports, main = "index.js" } = JSON.parse(text) as { exports?: Target; main?: string };
  const root = typeof exports === "object" && exports["."] ? exports["."] : exports;
  return join(folder, targetOf(root) ?? main);
}

/** The value of an entry in `exports` of a package.json: a path, or paths by condition. */
type Target = string | { readonly [condition: string]: Target };

function targetOf(target: Target | undefined): string | undefined {
  if (typeof target === "string" || target === undefined) return target;
  const condition = Object.keys(target).find((name) => /^(node|import|default)$/.test(name));
  return condition === undefined ? undefined : targetOf(target[condition]);
}

function isCodec(value: unknown): value is Codec<unknown> {
  if (typeof value !== "object" || value === null) return false;
  const { encode, decode, join } = value as Codec<unknown>;
  return [encode, decode, join].every((one) => typeof one === "function");
}
