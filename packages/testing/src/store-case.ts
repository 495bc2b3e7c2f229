import type { Key, Store } from "@partd/core";
import type { ContractCase, OpenStore } from "./contract.js";
import { withDataSet } from "./contract.js";

/** What a store can do beyond the contract, and how hard it is to be tried. */
export interface StoreContractOptions {
  /** What was appended is there when the data set is opened again after `close()`. Default false. */
  readonly persistent?: boolean | undefined;
  /**
   * Two stores that are open on one data set at once see each other's writes and locks, as they
   * would in two processes. Default false.
   */
  readonly shared?: boolean | undefined;
  /**
   * What an append is whole or not at all over, when it is given up or fails: the whole batch, or that
   * part of it whose keys are in one bucket. Default `"batch"`.
   */
  readonly atomic?: "batch" | "bucket" | undefined;
  /** Length in bytes of the largest value that is tried. Default 100 MiB. */
  readonly largestValue?: number | undefined;
  /** How many keys are appended at once. Default 10,000. */
  readonly manyKeys?: number | undefined;
  /** `size` counts a compressed form below the store, so it is not the value's length. Default false. */
  readonly compressed?: boolean | undefined;
  /** Makes a store that cannot be opened: a path that is a file, a server that is not there. */
  readonly openBroken?: OpenStore | undefined;
  /** Random programs that the property-based case tries. Default 25. */
  readonly numRuns?: number | undefined;
  /** Repeats the random programs of an earlier run, which printed this number when it failed. */
  readonly seed?: number | undefined;
}

/** What a case of the store contract works with. */
export interface StoreSession {
  /** Over a data set that is empty at first. */
  readonly store: Store;
  readonly options: StoreContractOptions;
  /** Opens the data set once more: after `store.close()`, or beside it where stores are shared. */
  open(): Promise<Store>;
}

/** A case of the store contract, before it is bound to a store. */
export interface StoreCase {
  readonly name: string;
  /** Whether the case applies. Default: always. */
  readonly when?: (options: StoreContractOptions) => boolean | undefined;
  /** Whether it is about a store that cannot be opened. */
  readonly broken?: boolean;
  readonly run: (session: StoreSession) => Promise<void>;
}

export function bindStoreCase(
  { name, run }: StoreCase,
  open: OpenStore,
  options: StoreContractOptions,
): ContractCase {
  return {
    name,
    run: () =>
      withDataSet(async (dataSet, opened) => {
        const openOnce = async () => {
          const store = await open(dataSet);
          opened(store);
          return store;
        };
        await run({ store: await openOnce(), options, open: openOnce });
      }),
  };
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function bytes(text: string): Uint8Array {
  return encoder.encode(text);
}

export function text(value: Uint8Array): string {
  return decoder.decode(value);
}

/** What a key holds, as text. */
export async function read(store: Store, key: Key): Promise<string> {
  return text(await store.get(key));
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

/** A value of several bytes a piece, streamed and joined. */
export async function readStream(store: Store, key: Key): Promise<string> {
  const decode = new TextDecoder();
  let result = "";
  for await (const piece of store.stream(key)) result += decode.decode(piece, { stream: true });
  return result + decode.decode();
}

/** Lets whatever is ready to run do so, several times over. */
export async function turns(count = 5): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise<void>((resolve) => setTimeout(resolve));
}

/**
 * Runs calls as another caller would make them, from wherever it is called: a store refuses its own
 * caller inside `withLock`, where that would wait for itself, and lets another one wait.
 */
export function anotherCaller(): <T>(call: () => T) => T {
  const { process } = globalThis as {
    process?: { getBuiltinModule?(name: string): { AsyncResource: new (type: string) => Scope } };
  };
  const hooks = process?.getBuiltinModule?.("node:async_hooks");
  if (!hooks) return (call) => call();
  const scope = new hooks.AsyncResource("partd.anotherCaller");
  return (call) => scope.runInAsyncScope(call);
}

interface Scope {
  runInAsyncScope<T>(call: () => T): T;
}
