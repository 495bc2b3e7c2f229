import { describe, expect, test } from "@jest/globals";
import { BufferStore } from "@partd/buffer";
import { Dict, isPartdError } from "@partd/core";
import { concatBytes } from "@partd/core/author";
import { storeProperty } from "@partd/testing";
import { ChaosStore, randomFrom } from "./chaos-store.js";

/** Programs tried; more with PARTD_BUFFER_RUNS. */
const RUNS = Number(process.env["PARTD_BUFFER_RUNS"] ?? 60);

describe("over a store of random delays", () => {
  let seed = 0;
  const open = () => {
    seed++;
    return new BufferStore(new Dict(), new ChaosStore(seed), {
      availableMemory: 2000 + (seed % 5) * 1000,
      concurrency: 1 + (seed % 3),
    });
  };
  const { name, run } = storeProperty(open, { numRuns: RUNS, seed: 1 });
  test(name, run);
});

test("the smallest of all bounds will do", async () => {
  for (const availableMemory of [1, 10, 100, 1000]) {
    const open = () =>
      new BufferStore(new Dict(), new ChaosStore(1), { availableMemory, concurrency: 3 });
    await storeProperty(open, { numRuns: 10, seed: 2 }).run();
  }
});

/**
 * Several writers, readers and one that pops, all at once. Each append of a writer puts its next
 * number under two keys; a number whose append was refused is used again.
 */
class Bustle {
  readonly #store: BufferStore;
  readonly #random: (below: number) => number;
  /** Per writer: the number of appends that have resolved, and the one under way. */
  readonly #acknowledged = new Array<number>(WRITERS).fill(0);
  readonly #begun = new Array<number>(WRITERS).fill(0);
  readonly #popped = new Map<string, number[]>();
  refused = 0;
  writing = true;

  constructor(store: BufferStore, seed: number) {
    this.#store = store;
    this.#random = randomFrom(seed);
  }

  async run(): Promise<void> {
    const writers = Array.from({ length: WRITERS }, (_, writer) => this.#write(writer));
    const others = [this.#read(), this.#read(), this.#stream(), this.#pop(), this.#flush()];
    await Promise.all(writers);
    this.writing = false;
    await Promise.all(others);
  }

  /** All that was acknowledged is there once and in order. */
  async check(): Promise<void> {
    for (let writer = 0; writer < WRITERS; writer++) {
      const all = Array.from({ length: this.#acknowledged[writer] as number }, (_, i) => i);
      expect(numbers(await this.#store.get(`left${writer}`))).toEqual(all);
      expect(numbers(await this.#store.get(`right${writer}`))).toEqual(all);
      const rest = numbers(await this.#store.get(`popped${writer}`));
      expect([...(this.#popped.get(`popped${writer}`) ?? []), ...rest]).toEqual(all);
    }
  }

  async #write(writer: number): Promise<void> {
    for (let i = 0; i < APPENDS; ) {
      const piece = record(i);
      this.#begun[writer] = i + 1;
      try {
        await this.#store.append({
          [`left${writer}`]: piece,
          [`right${writer}`]: piece,
          [`popped${writer}`]: piece,
        });
      } catch (error) {
        if (!isPartdError(error, "ERR_PARTD_IO")) throw error;
        this.refused++;
        continue;
      }
      this.#acknowledged[writer] = ++i;
      if (this.#random(4) === 0) await nextTurn();
    }
  }

  async #read(): Promise<void> {
    while (this.writing) {
      const writer = this.#random(WRITERS);
      const least = this.#acknowledged[writer] as number;
      const [left, right] = await this.#store.get([`left${writer}`, `right${writer}`]);
      const seen = numbers(left);
      expect(seen).toEqual(seen.map((_, i) => i));
      expect(seen.length).toBeGreaterThanOrEqual(least);
      expect(seen.length).toBeLessThanOrEqual(this.#begun[writer] as number);
      expect(numbers(right)).toEqual(seen); // An append is seen whole or not at all.
      await nextTurn();
    }
  }

  async #stream(): Promise<void> {
    while (this.writing) {
      const writer = this.#random(WRITERS);
      const least = this.#acknowledged[writer] as number;
      const pieces: Uint8Array[] = [];
      for await (const piece of this.#store.stream(`left${writer}`)) {
        pieces.push(piece);
        if (this.#random(3) === 0) await nextTurn();
      }
      const seen = numbers(concatBytes(pieces));
      expect(seen).toEqual(seen.map((_, i) => i));
      expect(seen.length).toBeGreaterThanOrEqual(least);
    }
  }

  async #pop(): Promise<void> {
    while (this.writing) {
      const key = `popped${this.#random(WRITERS)}`;
      const popped = numbers(await this.#store.pop(key));
      this.#popped.set(key, [...(this.#popped.get(key) ?? []), ...popped]);
      await nextTurn();
    }
  }

  async #flush(): Promise<void> {
    while (this.writing) {
      await this.#store.flush().catch((error: unknown) => {
        if (!isPartdError(error, "ERR_PARTD_IO")) throw error;
      });
      for (let turns = this.#random(40); turns > 0; turns--) await nextTurn();
    }
  }
}

const WRITERS = 4;
const APPENDS = 120;

/** A number in 40 bytes, so that it takes few of them to fill the buffer. */
function record(number: number): Uint8Array {
  return new Uint8Array(40).fill(number);
}

function numbers(bytes: Uint8Array): number[] {
  expect(bytes.byteLength % 40).toBe(0);
  return Array.from({ length: bytes.byteLength / 40 }, (_, i) => bytes[i * 40] as number);
}

function nextTurn(): Promise<void> {
  return new Promise((next) => setImmediate(next));
}

describe("writers, readers, pops and flushes at once", () => {
  for (const [failures, name] of [
    [0, "a slow store of random delays"],
    [20, "a slow store that fails every fifth time"],
  ] as const) {
    test(`over ${name}, all is there once and in order`, async () => {
      let refused = 0;
      let spills = 0;
      // Which appends are refused depends on the timing: it goes on until some were.
      const isShown = () => spills > 100 && (failures === 0 || refused > 0);
      for (let seed = 1; seed <= Math.ceil(RUNS / 6) || !isShown(); seed++) {
        const slow = new ChaosStore(seed);
        slow.failures = failures;
        const store = new BufferStore(new Dict(), slow, {
          availableMemory: 4000 + (seed % 5) * 3000,
          concurrency: 1 + (seed % 3),
        });
        const bustle = new Bustle(store, seed);
        await bustle.run();
        slow.failures = 0;
        await bustle.check();
        await store.flush();
        expect(store.stats().bytesHeld).toBe(0);
        await bustle.check();
        refused += bustle.refused;
        spills += store.stats().spills;
        await store.close();
      }
    });
  }
});
