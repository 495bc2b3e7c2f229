import { isPartdError } from "@partd/core";
import type { RedisStore } from "@partd/redis";

/** Writers that append without a pause, and know what has to be there. */
export class Load {
  /** Of each writer and key, the numbers that were acknowledged, and those whose outcome is unknown. */
  readonly #acknowledged = new Map<string, number[]>();
  readonly #unknown = new Map<string, number[]>();
  readonly errors: Error[] = [];
  readonly #stores: readonly RedisStore[];
  #isOver = false;
  #running: Promise<unknown> | undefined;
  #appends = 0;

  constructor(stores: readonly RedisStore[]) {
    this.#stores = stores;
  }

  /** Appends that were acknowledged. */
  get appends(): number {
    return this.#appends;
  }

  start(): void {
    this.#running = Promise.all(
      this.#stores.flatMap((store, i) =>
        [0, 1, 2].map((lane) => this.#write(store, `${i}.${lane}`)),
      ),
    );
  }

  /** Resolves when so many more appends have been acknowledged. */
  async more(count: number): Promise<void> {
    const wanted = this.#appends + count;
    while (this.#appends < wanted) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  async end(): Promise<void> {
    this.#isOver = true;
    await this.#running;
  }

  async #write(store: RedisStore, name: string): Promise<void> {
    for (let n = 0; !this.#isOver; n++) {
      const keys = Array.from({ length: 8 }, (_, i) => `${name} ${(n + i * i) % 40}`);
      const distinct = [...new Set(keys)];
      // Some are pushed by commands, the others by a script.
      const value = Buffer.from(`<${n}>${n % 10 === 0 ? ".".repeat(40_000) : ""}`);
      let outcome = this.#acknowledged;
      try {
        await store.append(distinct.map((key) => [key, value] as const));
        this.#appends++;
      } catch (error) {
        if (!isPartdError(error)) throw error;
        this.errors.push(error);
        outcome = this.#unknown;
      }
      for (const key of distinct) {
        const list = outcome.get(key) ?? [];
        outcome.set(key, list);
        list.push(n);
      }
    }
  }

  /** What is not as it has to be: nothing may be lost, doubled or out of order. */
  async faults(store: RedisStore): Promise<string[]> {
    const faults: string[] = [];
    const keys = [...new Set([...this.#acknowledged.keys(), ...this.#unknown.keys()])];
    const values = await store.get(keys);
    for (const [i, key] of keys.entries()) {
      const text = Buffer.from(values[i] as Uint8Array)
        .toString()
        .replaceAll(/\.{40000}/g, "");
      const there = (text.match(/<\d+>/g) ?? []).map((item) => Number(item.slice(1, -1)));
      const wanted = this.#acknowledged.get(key) ?? [];
      const unknown = this.#unknown.get(key) ?? [];
      const found = new Set(there);
      if (there.map((n) => `<${n}>`).join("") !== text) faults.push(`${key} is torn`);
      if (found.size !== there.length) faults.push(`${key} has an append twice`);
      if (there.some((n, at) => at > 0 && n < (there[at - 1] as number))) {
        faults.push(`${key} is out of order`);
      }
      const lost = wanted.filter((n) => !found.has(n));
      if (lost.length > 0) faults.push(`${key} lacks ${lost.length} of ${wanted.length}`);
      const known = new Set([...wanted, ...unknown]);
      if (there.some((n) => !known.has(n))) faults.push(`${key} has what nobody wrote`);
    }
    return faults;
  }
}
