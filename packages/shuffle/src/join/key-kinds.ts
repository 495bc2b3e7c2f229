import { PartdError } from "@partd/core";
import type { GroupKeyer } from "../source/group-keyer.js";
import type { Input } from "../source/input.js";
import { keyItems } from "../source/key-items.js";
import type { KeyedBatch } from "../source/keyed-batch.js";

/**
 * Looks at the kinds of both sides' keys, until each field of the key has had a common kind. Without one,
 * a field is probably text on one side, as in a CSV, and a number on the other: nothing would match.
 */
export class KeyKinds {
  readonly #fields: Sides<readonly string[]>;
  /** For each field of the key a set of {@link KIND}s. */
  readonly #kinds: Sides<Uint8Array>;
  #areSettled = false;

  constructor(left: readonly string[], right: readonly string[]) {
    this.#fields = { left, right };
    this.#kinds = { left: new Uint8Array(left.length), right: new Uint8Array(right.length) };
  }

  /** `undefined` if a function makes a key, which the caller has then chosen. */
  static of(left: GroupKeyer<unknown>, right: GroupKeyer<unknown>): KeyKinds | undefined {
    return left.fields && right.fields && new KeyKinds(left.fields, right.fields);
  }

  /** The same input, which also looks at its keys. After the left one, which is read last, it throws. */
  watching<I extends Pick<Input<unknown>, "batches" | "consumed">>(
    input: I,
    side: Side,
  ): Pick<I, "batches" | "consumed"> {
    const look = (batch: KeyedBatch) => this.look(batch, side);
    const end = () => this.#end();
    return {
      get consumed() {
        return input.consumed;
      },
      async *batches(reading) {
        for await (const batch of input.batches(reading)) {
          look(batch);
          yield batch;
        }
        if (side === "left") end();
      },
    };
  }

  /** Looks at a batch. @returns whether each field has had a common kind. */
  look({ count, keys, keyStarts, keyEnds }: KeyedBatch, side: Side): boolean {
    if (this.#areSettled) return true;
    const kinds = this.#kinds[side];
    for (let i = 0; i < count; i++) {
      const start = keyStarts[i]!;
      if (kinds.length === 1) kinds[0]! |= kindOf(keys, start, keyEnds[i]!);
      else addItems(kinds, keys, start, keyEnds[i]!);
    }
    const { left, right } = this.#kinds;
    this.#areSettled = left.every((kind, field) => (kind & right[field]!) !== 0);
    return this.#areSettled;
  }

  #end(): void {
    const { left, right } = this.#kinds;
    const apart = left.findIndex((kind, i) => kind !== 0 && right[i] !== 0 && !(kind & right[i]!));
    if (apart < 0) return;
    const [ours, theirs] = [left[apart]!, right[apart]!].map(nameOf);
    const name = (side: Side) => JSON.stringify(this.#fields[side][apart]);
    throw new PartdError(
      "ERR_PARTD_VALUE",
      `No records can match: ${name("left")} holds ${ours} on the left, ${name("right")} ${theirs} on the right. Make them alike in one of the files; or, in a program, by a function, as in rightBy: (row) => Number(row.id), which may also leave them as they are.`,
    );
  }
}

type Side = "left" | "right";
type Sides<T> = Readonly<Record<Side, T>>;

/** Kinds of values that one format has where another has a different one: a CSV has only text. */
const KIND = {
  text: 1,
  number: 2,
  bigint: 4,
  date: 8,
  bytes: 16,
  boolean: 32,
  list: 64,
} as const;

function nameOf(kinds: number): string {
  const names = Object.entries(KIND).flatMap(([name, kind]) => (kinds & kind ? [name] : []));
  return names.map((name) => (name === "text" || name === "bytes" ? name : `${name}s`)).join(", ");
}

/** The kind of an encoded key (docs/keys.md); 0 for `null` and missing ones, which match nothing. */
function kindOf(keys: Uint8Array, start: number, end: number): number {
  switch (keys[start]) {
    case QUOTE:
      return KIND.text;
    case 1:
      // A large integer of JSON may be either, see `parseKeyNumber`.
      return end - start > SAFE_DIGITS ? KIND.bigint | KIND.number : KIND.bigint;
    case 2:
      return KIND.date;
    case 3:
      return KIND.bytes;
    case 4:
    case 0x5b:
      return KIND.list;
    case 0x66: // false, true
    case 0x74:
      return KIND.boolean;
    case 0:
    case 0x6e: // null
      return 0;
    default:
      return end - start >= SAFE_DIGITS ? KIND.bigint | KIND.number : KIND.number;
  }
}

/** Shorter integers are below 2^53. */
const SAFE_DIGITS = 16;

/** Adds the kinds of the items of an encoded list. */
function addItems(kinds: Uint8Array, keys: Uint8Array, start: number, end: number): void {
  let item = 0;
  for (const [from, to] of keyItems(keys, start, end)) kinds[item++]! |= kindOf(keys, from, to);
}

const QUOTE = 0x22;
