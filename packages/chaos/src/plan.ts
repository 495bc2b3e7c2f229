import type { Kind } from "./history.js";
import { Random } from "./random.js";

/** Keys whose elements come and go. */
export const KEYS = Array.from({ length: 10 }, (_, i) => `k${i}`);
/** Never deleted, so that it grows long. */
const KEPT = "kept";
/** Appended to under the lock alone. */
const LOCKED = "locked";
/** Set, and never appended to. */
const SET = ["set0", "set1"];
export const ALL_KEYS: readonly string[] = [...KEYS, KEPT, LOCKED, ...SET];

export interface Step {
  readonly kind: Kind;
  readonly keys: readonly string[];
  readonly elements: readonly (readonly [key: string, id: string, pad: number])[];
}

/** How often a lane makes each call, out of so many in all. */
const SHARES: Readonly<Record<Kind, number>> = {
  append: 50,
  get: 14,
  entries: 4,
  stream: 5,
  keys: 4,
  delete: 6,
  pop: 6,
  lock: 4,
  iset: 2,
  flush: 4,
  compact: 1,
};

/** What a lane does, as its seed decides, for as long as it is asked. */
export function* stepsOf(lane: string, seed: string): Generator<Step> {
  const random = new Random(`${seed} ${lane}`);
  const kinds = Object.entries(SHARES).flatMap(([kind, share]) =>
    Array.from({ length: share }, () => kind as Kind),
  );
  for (let n = 0; ; n++) {
    yield stepOf(random.pick(kinds), random, `${lane}.${n}`);
  }
}

function stepOf(kind: Kind, random: Random, id: string): Step {
  switch (kind) {
    case "append": {
      const keys = random.some(KEYS, random.chance(0.2) ? KEYS.length : random.integer(1, 5));
      if (random.chance(0.1)) keys.push(KEPT);
      if (random.chance(0.1)) keys.push(random.pick(keys)); // Twice in one batch.
      // A long batch is the longer half written.
      const most = random.chance(0.15) ? 40_000 : 80;
      const elements = keys.map((key, i) => [key, `${id}.${i}`, random.integer(0, most)] as const);
      return { kind, keys, elements };
    }
    case "iset": {
      const key = random.pick(SET);
      return { kind, keys: [key], elements: [[key, id, 10]] };
    }
    case "lock":
      return { kind, keys: [LOCKED], elements: [] };
    case "get":
      return { kind, keys: random.some(ALL_KEYS, random.integer(1, 6)), elements: [] };
    case "stream":
      return { kind, keys: [random.pick(ALL_KEYS)], elements: [] };
    case "delete":
    case "pop":
      return { kind, keys: random.some(KEYS, random.integer(1, 4)), elements: [] };
    case "entries":
    case "keys":
      return { kind, keys: ALL_KEYS, elements: [] };
    case "flush":
    case "compact":
      return { kind, keys: [], elements: [] };
  }
}
