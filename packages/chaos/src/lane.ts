import type { Store } from "@partd/core";
import { now, type Outcome, record, type Values } from "./history.js";
import { type Step, stepsOf } from "./plan.js";

/** What `lane` asks of a store; a `LogStore` can compact itself, too. */
export type Tried = Store & { compact?(): Promise<void> };

/** What a lane asks for: the methods that are there. */
export type Asked = Partial<Tried>;

export interface LaneOptions {
  readonly lane: string;
  readonly seed: string;
  /** The descriptor of the file that the history is written to. */
  readonly file: number;
  readonly isOver: () => boolean;
  /** Makes a call when it may be made. */
  readonly inTurn?: (call: () => Promise<void>) => Promise<void>;
}

/** Makes one call after the other, and writes down what comes of each. */
export async function runLane(store: Asked, options: LaneOptions) {
  const { lane, seed, file, isOver, inTurn = (call) => call() } = options;
  let n = 0;
  for (const step of stepsOf(lane, seed)) {
    if (isOver()) return;
    if (!isPossible(store, step)) continue;
    await inTurn(() => recordCall(store as Tried, step, { lane, n: n++, file }));
  }
}

/** A `LogStore` alone compacts, Python's store has a few methods, other checkouts may lack some. */
export function isPossible(store: Asked, { kind }: Step): boolean {
  return (kind === "lock" ? "withLock" : kind) in store;
}

export interface Place {
  readonly lane: string;
  readonly n: number;
  readonly file: number;
}

export async function recordCall(store: Tried, step: Step, { lane, n, file }: Place) {
  const { kind, keys } = step;
  let elements: readonly (readonly [string, string])[] = step.elements.map(([key, id]) => [
    key,
    id,
  ]);
  const invoked = now();
  const begin = () => record(file, { lane, n, kind, keys, elements, invoked });
  begin();
  try {
    const values = await call(store, step, (key, seen) => {
      // Only within the lock it is known what it appends.
      const id = `${lane}.${n}#${seen}`;
      elements = [[key, id]];
      begin();
      return id;
    });
    record(file, { lane, n, outcome: "ok", completed: now(), values });
  } catch (error) {
    const { code, message, cause } = error as {
      code?: unknown;
      message?: unknown;
      cause?: unknown;
    };
    const because = cause instanceof Error ? ` (because: ${cause.message})` : "";
    const text = `${code ?? "no code"}: ${message ?? error}${because}`;
    // What was done under a lock before it was lost stays.
    const outcome: Outcome = kind !== "lock" && isKnown(text) ? "fail" : "unknown";
    record(file, { lane, n, outcome, completed: now(), error: text });
    // What is broken for a while is not asked a thousand times.
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Whether an error says that nothing was done. */
function isKnown(error: string): boolean {
  return /^ERR_PARTD_(IO|LOCK|KEY|VALUE|AUTH)/.test(error) && !/not known|unknown/.test(error);
}

async function call(
  store: Tried,
  { kind, keys, elements }: Step,
  lockedAppend: (key: string, seen: number) => string,
): Promise<Values | undefined> {
  const [key = ""] = keys;
  switch (kind) {
    case "append":
      await store.append(elements.map((element) => [element[0], bytesOf(...element)] as const));
      return undefined;
    case "iset":
      for (const element of elements) await store.iset(key, bytesOf(...element));
      return undefined;
    case "lock":
      await store.withLock(async (held) => {
        const seen = elementsOf(key, await held.get(key)).length;
        await held.append([[key, bytesOf(key, lockedAppend(key, seen), 20)]]);
      });
      return undefined;
    case "get":
      return valuesOf(keys, await store.get(keys as string[]));
    case "pop":
      return valuesOf(keys, await store.pop(keys as string[]));
    case "stream": {
      const pieces: Uint8Array[] = [];
      for await (const piece of store.stream(key)) pieces.push(piece);
      return valuesOf([key], [Buffer.concat(pieces)]);
    }
    case "entries": {
      const values: Record<string, string[]> = {};
      for await (const [name, value] of store.entries()) {
        values[String(name)] = elementsOf(String(name), value);
      }
      return values;
    }
    case "keys": {
      const values: Record<string, string[]> = {};
      for await (const name of store.keys()) values[String(name)] = [];
      return values;
    }
    case "delete":
      await store.delete(keys);
      return undefined;
    case "flush":
      await store.flush();
      return undefined;
    case "compact":
      await store.compact?.();
      return undefined;
  }
}

function bytesOf(key: string, id: string, pad: number): Uint8Array {
  return Buffer.from(elementText(key, id, pad), "latin1");
}

function valuesOf(keys: readonly string[], values: readonly Uint8Array[]): Values {
  return Object.fromEntries(keys.map((key, i) => [key, elementsOf(key, values[i] as Uint8Array)]));
}

/**
 * What is appended: each element names its key and itself, and fills the rest with a pad of known
 * length, so that one that is torn, overwritten or under another key is seen in any value.
 */
export function elementText(key: string, id: string, pad: number): string {
  return `<${key} ${id} ${pad}:${"x".repeat(pad)}>`;
}

/** The elements of a key's value by their ids. A stretch that is none stands as one that begins with "!". */
export function elementsOf(key: string, value: Uint8Array): string[] {
  const text = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("latin1");
  const ids: string[] = [];
  const head = /<([^ <>]+) ([^ <>]+) (\d+):/y;
  for (let at = 0; at < text.length; ) {
    head.lastIndex = at;
    const [, owner, id = "", length] = head.exec(text) ?? [];
    const end = head.lastIndex + Number(length);
    const isWhole =
      owner === key && text[end] === ">" && /^x*$/.test(text.slice(head.lastIndex, end));
    if (!isWhole) {
      ids.push(`!${at} of ${text.length}: ${JSON.stringify(text.slice(at, at + 60))}`);
      const next = text.indexOf("<", at + 1);
      at = next < 0 ? text.length : next;
      continue;
    }
    ids.push(id);
    at = end + 1;
  }
  return ids;
}
