// Read by the compiler alone, in the typecheck task: each line holds, or does not compile.
import {
  type Codec,
  Dict,
  Encode,
  type Entries,
  isPartdError,
  type Key,
  type KeyTree,
  type PartdError,
  type Store,
  type Tuple,
  tuple,
  type Values,
  type ValueTree,
} from "@partd/core";
import { BaseStore, type Batch } from "@partd/core/author";

type Same<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Compiles if `value` is exactly a `T`. */
function is<T>() {
  return <U>(_value: U, _same: Same<T, U>): void => {};
}

declare const bytes: Store;
declare const lists: Store<string[]>;
declare const key: Key;
declare const names: string[];
declare const keys: readonly Key[];
declare const tree: KeyTree;
declare const nested: readonly (readonly string[])[];
declare const either: string | string[];

export async function answersHaveTheShapeOfTheKeys(): Promise<void> {
  is<Uint8Array>()(await bytes.get("x"), true);
  is<Uint8Array>()(await bytes.get(key), true);
  is<Uint8Array>()(await bytes.get(tuple("a", 1)), true);
  is<[Uint8Array, Uint8Array]>()(await bytes.get(["x", "y"]), true);
  is<[Uint8Array, [Uint8Array, []]]>()(await bytes.get(["x", [tuple("a", 1), []]]), true);
  is<[]>()(await bytes.get([]), true);
  is<Uint8Array[]>()(await bytes.get(names), true);
  is<Uint8Array[]>()(await bytes.get(keys), true);
  is<Uint8Array[][]>()(await bytes.get(nested), true);
  is<Uint8Array | Uint8Array[]>()(await bytes.get(either), true);
  is<ValueTree<Uint8Array>>()(await bytes.get(tree), true);

  is<string[]>()(await lists.get("x"), true);
  is<[string[], [string[]]]>()(await lists.pop(["x", ["y"]]), true);
  is<[string[], string[]]>()(await lists.withLock((held) => held.get(["x", "y"])), true);
  is<number>()(await lists.withLock(() => 1), true);

  const [first, [second]] = await lists.get(["x", ["y"]]);
  is<string[]>()(first, true);
  is<string[]>()(second, true);
  const answer = await bytes.get(["x", "y"]);
  // @ts-expect-error two keys have two values
  answer[2];
  // @ts-expect-error a value is not a list
  (await bytes.get("x")).map((value: Uint8Array) => value);

  for await (const piece of bytes.stream("x")) is<Uint8Array>()(piece, true);
  for await (const value of lists.stream(tuple("x", "y"))) is<string[]>()(value, true);
  for await (const one of lists.keys()) is<Key>()(one, true);
}

export async function argumentsAreChecked(): Promise<void> {
  await bytes.append({ x: new Uint8Array(1) });
  await bytes.append(new Map<string, Uint8Array>());
  await bytes.append(new Map<Key, Uint8Array>([[tuple("a", 1), new Uint8Array(1)]]));
  await bytes.append([["x", new Uint8Array(1)]]);
  await bytes.append([["x", Buffer.from("x")] as const]);
  await lists.append({ x: ["a"] });
  await bytes.delete("x");
  await bytes.delete(["x", tuple("a", 1)]);

  // @ts-expect-error text is not bytes
  await bytes.append({ x: "text" });
  // @ts-expect-error a value of another codec
  await lists.append({ x: [1] });
  // @ts-expect-error an array is not a key
  await bytes.append([[["a", "b"], new Uint8Array(1)]]);
  // @ts-expect-error a number is not a key
  await bytes.get(1);
  // @ts-expect-error nor within a list
  await bytes.get(["x", [1]]);
  // @ts-expect-error one key alone is streamed
  bytes.stream(["x"]);
  // @ts-expect-error keys are not nested here
  await bytes.delete([["x"]]);
  // @ts-expect-error a tuple has two or more parts, of text or numbers
  tuple("a", true);
  // @ts-expect-error a tuple does not change
  tuple("a", 1).parts.push("c");
}

export function storesStandInForOneAnother(dict: Dict, codec: Codec<string[]>): void {
  const store: Store = dict;
  const base: BaseStore = dict;
  const encoded: Store<string[]> = new Encode(store, codec);
  const wider: Store<readonly string[]> = encoded;
  const over = new Encode(base, codec);
  is<Encode<string[]>>()(over, true);
  // @ts-expect-error bytes are no lists
  const wrong: Store<string[]> = dict;
  // @ts-expect-error a codec's store holds no bytes to encode once more
  new Encode(encoded, codec);
  void [wider, wrong];
}

export async function disposal(): Promise<void> {
  await using store = new Dict();
  await store.flush();
}

export async function genericCode<V>(store: Store<V>, all: readonly Key[]): Promise<V[]> {
  const values = await store.get(all);
  is<V[]>()(values, true);
  const data: Entries<V> = values.map((value, i) => [all[i] as Key, value] as const);
  await store.append(data);
  return values;
}

/** Another code leaves the error what it was. */
export function codeOf(error: PartdError): string {
  if (isPartdError(error, "ERR_PARTD_LOCK")) {
    is<"ERR_PARTD_LOCK">()(error.code, true);
    return error.code;
  }
  return error.message;
}

/** Four primitives are a store. */
export class Smallest extends BaseStore {
  protected async _append(_batch: Batch): Promise<void> {}
  protected async _get(keys: readonly string[]): Promise<Uint8Array[]> {
    return keys.map(() => new Uint8Array(0));
  }
  protected async _delete(): Promise<void> {}
  protected async _keys(): Promise<string[]> {
    return [];
  }
}

// @ts-expect-error three are not
export class TooSmall extends BaseStore {
  protected async _append(): Promise<void> {}
  protected async _get(): Promise<Uint8Array[]> {
    return [];
  }
  protected async _delete(): Promise<void> {}
}

export type Shapes = [
  Same<Values<"x", number>, number> extends true ? 1 : never,
  Same<Values<Tuple, number>, number> extends true ? 1 : never,
  Same<Values<readonly ["x", readonly ["y", "z"]], number>, [number, [number, number]]> extends true
    ? 1
    : never,
  Same<Values<readonly Key[], number>, number[]> extends true ? 1 : never,
  Same<Values<KeyTree, number>, ValueTree<number>> extends true ? 1 : never,
];
export const shapes: Shapes = [1, 1, 1, 1, 1];
