import { fileURLToPath } from "node:url";
import { PartdError } from "@partd/core";

/**
 * A source of bytes: a path, a list of paths, the result of a glob, a Node or web stream, or any
 * iterable of bytes. Compression (gzip, zstd) is recognised by the first bytes.
 */
export type Source =
  | string
  | URL
  | Iterable<string | URL>
  | AsyncIterable<string | URL>
  | Iterable<Uint8Array>
  | AsyncIterable<Uint8Array>
  | ReadableStream<Uint8Array>
  | NodeJS.ReadableStream;

/** One file or one stream. */
export type Input =
  | { readonly path: string; readonly range?: ByteRange }
  | {
      readonly path?: undefined;
      readonly range?: undefined;
      readonly chunks: AsyncIterable<Uint8Array>;
    };

/** Bytes `[start, end)` of a plain file. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** Distinguishes paths from bytes, and yields the inputs in order. */
export async function* inputsOf(source: Source): AsyncGenerator<Input> {
  if (isPath(source)) {
    yield { path: pathOf(source) };
    return;
  }
  const items = iterate(source);
  if (isNodeStream(source)) {
    if ((source as { readableEnded?: boolean }).readableEnded) {
      throw new PartdError(
        "ERR_PARTD_VALUE",
        "The stream was read to its end before. Read from a path, or make a new stream.",
      );
    }
    yield { chunks: bytesOf(items) };
    return;
  }
  const iterator = items[Symbol.asyncIterator]();
  let isWhole = false;
  try {
    let item = await iterator.next();
    while (!item.done && isPath(item.value)) {
      yield { path: pathOf(item.value) };
      item = await iterator.next();
    }
    isWhole = item.done === true;
    if (!item.done) {
      isWhole = true; // The stream of bytes closes the iterator itself.
      yield { chunks: bytesOf(continued(item.value, iterator)) };
    }
  } finally {
    if (!isWhole) await iterator.return?.(undefined);
  }
}

/** The paths of a source that can be listed repeatedly; `undefined` for a stream, and for an iterable of paths. */
export async function pathsOf(source: Source): Promise<readonly string[] | undefined> {
  if (isPath(source)) return [pathOf(source)];
  if (!Array.isArray(source) || !source.every(isPath)) return undefined;
  return source.map(pathOf);
}

function isPath(source: unknown): source is string | URL {
  return typeof source === "string" || source instanceof URL;
}

function pathOf(path: string | URL): string {
  return typeof path === "string" ? path : fileURLToPath(path);
}

function isNodeStream(source: unknown): boolean {
  return typeof (source as { pipe?: unknown } | undefined | null)?.pipe === "function";
}

async function* iterate(source: unknown): AsyncGenerator<unknown> {
  const from = source as Partial<AsyncIterable<unknown> & Iterable<unknown>> | null | undefined;
  if (from?.[Symbol.asyncIterator] || from?.[Symbol.iterator]) {
    yield* from as AsyncIterable<unknown>;
  } else {
    throw new PartdError(
      "ERR_PARTD_VALUE",
      "Records are read from a path, a list of paths, a stream, or an iterable of bytes.",
    );
  }
}

async function* continued(
  first: unknown,
  rest: AsyncIterator<unknown>,
): AsyncGenerator<unknown, void, undefined> {
  try {
    yield first;
    for (let item = await rest.next(); !item.done; item = await rest.next()) yield item.value;
  } finally {
    await rest.return?.();
  }
}

async function* bytesOf(items: AsyncIterable<unknown>): AsyncGenerator<Uint8Array> {
  // The first half of a character whose second one is in the next text.
  let half = "";
  for await (const item of items) {
    if (typeof item === "string") {
      const text = half + item;
      half = /[\ud800-\udbff]$/.exec(text)?.[0] ?? "";
      yield encoder.encode(half === "" ? text : text.slice(0, -1));
      continue;
    }
    if (!(item instanceof Uint8Array)) throw noBytes(item);
    if (half !== "") yield encoder.encode(half);
    half = "";
    yield item;
  }
  if (half !== "") yield encoder.encode(half);
}

function noBytes(item: unknown): PartdError {
  const given = item === null ? "null" : typeof item;
  const advice = given === "number" ? " Put an array of bytes in a list, as in [bytes]." : "";
  return new PartdError(
    "ERR_PARTD_VALUE",
    `A source of bytes gave a ${given} in place of a Uint8Array.${advice}`,
  );
}

const encoder = new TextEncoder();
