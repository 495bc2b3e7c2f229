import { Dict, type Entries, isPartdError, type Store } from "@partd/core";
import { frame } from "@partd/core/author";
import { mutate, randomOf } from "./mutate.js";

/** A decoder under test, as the store that is built on it. */
export interface Target {
  readonly name: string;
  /** Whether each value is one frame: then what is in it is mutated, and the frame made anew. */
  readonly framed: boolean;
  /** What stores of bytes hold where the key `x` was appended to: keys, and frames' contents. */
  readonly seeds: () => Promise<readonly Image[]>;
  readonly open: (store: Store) => Store<unknown>;
  /** Reads what a value only reads when asked for. It may not fail. */
  readonly touch?: (value: unknown) => void;
}

export type Image = readonly (readonly [key: string, bytes: Uint8Array])[];

/** The image that number `index` is, always the same. */
export function inputAt(seeds: readonly Image[], index: number): Image {
  const random = randomOf(index);
  const seed = seeds[random(seeds.length)] as Image;
  const other = seeds[random(seeds.length)]?.[0]?.[1] as Uint8Array;
  const chosen = random(seed.length);
  return seed.map(([key, bytes], i) => [key, i === chosen ? mutate(bytes, other, random) : bytes]);
}

/**
 * Reads one input in each way there is.
 *
 * @throws Broken where anything but a value or an error of ours comes of it, and where a value that
 * was read and could be appended again cannot be read then.
 */
export async function tryInput(target: Target, image: Image): Promise<void> {
  const lower = new Dict();
  await lower.append(
    image.map(([key, bytes]) => [key, target.framed ? frame(bytes) : bytes]) as Entries<Uint8Array>,
  );
  const store = target.open(lower);
  let read = 0;
  const streamed = await attempt("stream", async () => {
    for await (const value of store.stream("x")) {
      target.touch?.(value);
      read++;
    }
    return true;
  });
  const value = await attempt("get", () => store.get("x"));
  if (value === REFUSED) return;
  if (streamed === REFUSED && read === 0) throw new Broken("get reads what stream refuses", {});
  target.touch?.(value);
  const again = target.open(new Dict());
  const appended = await attempt("append of what was read", () => again.append([["x", value]]));
  if (appended !== REFUSED) target.touch?.(await again.get("x"));
}

export class Broken extends Error {
  override readonly name = "Broken";
}

const REFUSED = Symbol("refused");

async function attempt<T>(what: string, call: () => Promise<T>): Promise<T | typeof REFUSED> {
  try {
    return await call();
  } catch (error) {
    const isOurs =
      isPartdError(error, "ERR_PARTD_CORRUPT") || isPartdError(error, "ERR_PARTD_CODEC");
    if (isOurs && (error as Error).message !== "") return REFUSED;
    throw new Broken(`${what}: ${error instanceof Error ? error.stack : String(error)}`, {
      cause: error,
    });
  }
}
