import type { Key, Store } from "@partd/core";
import type { ContractCase, OpenStore } from "../contract.js";
import { withDataSet } from "../contract.js";

/** What a store can do beyond the contract, and how hard to test it. */
export interface StoreContractOptions {
  /**
   * Whether appended data is there when the data set is reopened after `close()`. Default false.
   */
  readonly persistent?: boolean | undefined;
  /**
   * Whether two stores open on one data set see each other's writes and locks, as in two processes.
   * Default false.
   */
  readonly shared?: boolean | undefined;
  /**
   * The scope within which a failed or aborted append is atomic: the whole batch, or its keys in
   * one bucket. Default `"batch"`.
   */
  readonly atomic?: "batch" | "bucket" | undefined;
  /** Bytes of the largest value that is tried. Default 100 MiB. */
  readonly largestValue?: number | undefined;
  /** Keys in the largest append. Default 10,000. */
  readonly manyKeys?: number | undefined;
  /**
   * Whether `size` counts compressed bytes below the store instead of the value's length. Default
   * false.
   */
  readonly compressed?: boolean | undefined;
  /**
   * Makes a store that cannot be opened: on a path that is a file, or a server that does not run.
   */
  readonly openBroken?: OpenStore | undefined;
  /** Random programs that the property-based case runs. Default 25. */
  readonly numRuns?: number | undefined;
  /** The seed of an earlier run, which it printed when it failed: repeats its programs. */
  readonly seed?: number | undefined;
}

/** The parameters of a case of the store contract. */
export interface StoreSession {
  /** The store, over a data set that is empty at first. */
  readonly store: Store;
  readonly options: StoreContractOptions;
  /** Opens the data set again: after `store.close()`, or beside it if stores are shared. */
  open(): Promise<Store>;
}

/** A case of the store contract, before it is bound to a store. */
export interface StoreCase {
  readonly name: string;
  /** Whether the case applies. Default: always. */
  readonly when?: (options: StoreContractOptions) => boolean | undefined;
  /** Whether the case is about a store that cannot be opened. */
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

/** A key's value as text. */
export async function read(store: Store, key: Key): Promise<string> {
  return text(await store.get(key));
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

/** A key's value as text, streamed and joined. */
export async function readStream(store: Store, key: Key): Promise<string> {
  const decode = new TextDecoder();
  let result = "";
  for await (const piece of store.stream(key)) result += decode.decode(piece, { stream: true });
  return result + decode.decode();
}

/** Lets ready work run, several times over. */
export async function turns(count = 5): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise<void>((resolve) => setTimeout(resolve));
}

/**
 * Runs calls as another caller would: inside `withLock` a store refuses its own caller, which would
 * wait for itself, and makes others wait.
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
