import { expect, jest, test } from "@jest/globals";
import { BufferStore } from "@partd/buffer";
import { Dict, PartdError, type Store } from "@partd/core";
import { turns } from "./bytes.js";
import { randomFrom } from "./chaos-store.js";
import { SteeredStore } from "./steered-store.js";

/** Programs tried; more with PARTD_BUFFER_RUNS. */
const RUNS = 8 * Number(process.env["PARTD_BUFFER_RUNS"] ?? 60);

const CLIENTS = 3;
const OPERATIONS = 18;
const failure = new PartdError("ERR_PARTD_IO", "As it was told to.");
const givenUp = new Error("given up");

/** What the keys of one client may hold. One who is not told how an operation ended has several. */
type State = readonly string[];

/**
 * Uses keys that no one else uses, one operation after the other, and knows what they may hold:
 * an operation that resolves has done its work, one that fails has done nothing, and one that was
 * given up either.
 */
class Client {
  readonly keys: readonly string[];
  readonly outcomes = { done: 0, failed: 0, "given up": 0 };
  controller = new AbortController();
  readonly #store: Store;
  readonly #random: (below: number) => number;
  #states: readonly State[];
  /** Whether each key counts as set by `iset`, where that is known. */
  readonly #isSet: (boolean | undefined)[];
  #count = 0;

  constructor(store: Store, name: number, random: (below: number) => number) {
    this.#store = store;
    this.#random = random;
    this.keys = ["a", "b", "c"].map((key) => `${key}${name}`);
    this.#states = [this.keys.map(() => "")];
    this.#isSet = this.keys.map(() => false);
  }

  async run(): Promise<void> {
    for (let i = 0; i < OPERATIONS; i++) await this.#operate(this.#store, true);
  }

  /** Reads all keys, and makes sure that they hold what they may. */
  async check(store: Store): Promise<void> {
    this.#narrow((await store.get(this.keys)).map(text));
  }

  async #operate(store: Store, mayLock: boolean): Promise<void> {
    this.controller = new AbortController();
    const { signal } = this.controller;
    const kind = this.#random(mayLock ? 13 : 11);
    const at = this.#random(this.keys.length);
    const key = this.keys[at] as string;
    if (kind < 4) {
      const piece = this.#piece();
      const places = [at, (at + 1) % this.keys.length].slice(0, 1 + this.#random(2));
      await this.#change(
        () =>
          store.append(
            places.map((i): [string, Uint8Array] => [this.keys[i] as string, bytesOf(piece)]),
            { signal },
          ),
        (state) => state.map((value, i) => (places.includes(i) ? value + piece : value)),
      );
    } else if (kind === 4) {
      const values = await this.#try(() => store.get(this.keys, { signal }));
      if (values) this.#narrow(values.map(text));
    } else if (kind === 5) {
      const value = await this.#try(async () => {
        let all = "";
        for await (const piece of store.stream(key, { signal })) all += text(piece);
        return all;
      });
      if (value === undefined) return;
      this.#narrow(undefined, (state) => state[at] === value);
    } else if (kind === 6) {
      await this.#remove(() => store.delete(this.keys.slice(at), { signal }), at);
    } else if (kind === 7) {
      let popped: string[] = [];
      const before = this.#states;
      const told = await this.#remove(async () => {
        popped = (await store.pop(this.keys.slice(at), { signal })).map(text);
      }, at);
      if (told) expect(before.map((state) => state.slice(at))).toContainEqual(popped);
    } else if (kind === 8) {
      await this.#set(store, at, signal);
    } else if (kind < 11) {
      await this.#try(() => store.flush({ signal }));
    } else {
      const throws = this.#random(4) === 0;
      await this.#try(() =>
        store.withLock(
          async (held) => {
            for (let i = this.#random(4); i > 0; i--) await this.#operate(held, false);
            if (throws) throw failure;
          },
          { signal },
        ),
      );
    }
  }

  async #set(store: Store, at: number, signal: AbortSignal): Promise<void> {
    const piece = this.#piece();
    const set = (state: State) => state.map((value, i) => (i === at ? piece : value));
    const isSet = this.#isSet[at];
    const before = this.#states;
    const outcome = await this.#outcome(() =>
      store.iset(this.keys[at] as string, bytesOf(piece), { signal }),
    );
    if (outcome === "failed" || (isSet === true && outcome === "done")) return;
    const known = outcome === "done" && isSet === false;
    this.#states = known ? before.map(set) : [...before, ...before.map(set)];
    this.#isSet[at] = outcome === "done" ? true : undefined;
  }

  async #remove(operate: () => Promise<unknown>, from: number): Promise<boolean> {
    const remove = (state: State) => state.map((value, i) => (i >= from ? "" : value));
    const outcome = await this.#change(operate, remove);
    for (let i = from; i < this.keys.length; i++) {
      if (outcome === "done") this.#isSet[i] = false;
      else if (this.#isSet[i]) this.#isSet[i] = undefined;
    }
    return outcome === "done";
  }

  async #change(
    operate: () => Promise<unknown>,
    change: (state: State) => State,
  ): Promise<Outcome> {
    const outcome = await this.#outcome(operate);
    if (outcome === "done") this.#states = this.#states.map(change);
    if (outcome === "given up") this.#states = [...this.#states, ...this.#states.map(change)];
    return outcome;
  }

  async #outcome(operate: () => Promise<unknown>): Promise<Outcome> {
    let outcome: Outcome = "done";
    try {
      await operate();
    } catch (error) {
      if (error !== failure && error !== givenUp) throw error;
      outcome = error === failure ? "failed" : "given up";
    }
    this.outcomes[outcome]++;
    return outcome;
  }

  async #try<T>(operate: () => Promise<T>): Promise<T | undefined> {
    let result: T | undefined;
    await this.#outcome(async () => {
      result = await operate();
    });
    return result;
  }

  #narrow(found: State | undefined, isFound = (state: State) => `${state}` === `${found}`): void {
    const states = this.#states.filter(isFound);
    if (states.length === 0) expect(found).toEqual(this.#states);
    this.#states = [...new Map(states.map((state) => [`${state}`, state])).values()];
  }

  /** Most are short, some of a good part of the buffer, and a few larger than it. */
  #piece(): string {
    const length = [10, 50, 50, 400, 1500, 6000][this.#random(6)] as number;
    return `<${this.#count++}>`.padEnd(length, ".");
  }
}

type Outcome = "done" | "failed" | "given up";

async function runProgram(seed: number): Promise<Client[]> {
  const random = randomFrom(seed);
  const slow = new SteeredStore();
  slow.heedsSignals = random(2) === 0;
  const store = new BufferStore(new Dict(), slow, {
    availableMemory: 3000 + random(4) * 1500,
    concurrency: 1 + random(3),
  });
  const clients = Array.from({ length: CLIENTS }, (_, i) => new Client(store, i, random));
  const failures = [0, 15, 50][seed % 3] as number;
  const aborts = [0, 5, 20][random(3)] as number;
  let running = true;
  const all = Promise.all(clients.map((client) => client.run())).finally(() => {
    running = false;
  });
  all.catch(() => {}); // Told below.
  for (let idle = 0; running; idle++) {
    await turns(2);
    if (random(100) < aborts) {
      clients[random(CLIENTS)]?.controller.abort(givenUp);
      await turns(1);
    }
    const [stop] = slow.stops.splice(random(Math.max(1, slow.stops.length)), 1);
    if (stop) {
      idle = 0;
      if (stop.isBefore && random(100) < failures) stop.fail(failure);
      else stop.go();
    }
    if (idle > 200) throw new Error("Everything waits, and nothing is on its way.");
  }
  await all;
  slow.release();
  for (const client of clients) await client.check(store);
  await store.flush();
  expect(store.stats()).toMatchObject({ bytesHeld: 0, keysHeld: 0, memoryHeld: 0 });
  for (const client of clients) {
    await client.check(store);
    await client.check(slow);
  }
  await store.close();
  return clients;
}

test("whatever the slow store does first, and refuses, and whatever is given up: nothing is lost, double or half done", async () => {
  // Loops rest by the clock: with one of its own each program runs the same way each time.
  let clock = 0;
  jest.spyOn(performance, "now").mockImplementation(() => {
    clock += 0.05;
    return clock;
  });
  const total = { done: 0, failed: 0, "given up": 0 };
  for (let seed = 1; seed <= RUNS; seed++) {
    clock = 0;
    try {
      for (const { outcomes } of await runProgram(seed)) {
        for (const outcome of Object.keys(total) as Outcome[]) total[outcome] += outcomes[outcome];
      }
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause);
      throw new Error(`Program ${seed}: ${message}`, { cause });
    }
  }
  jest.restoreAllMocks();
  expect(Math.min(...Object.values(total))).toBeGreaterThan(RUNS);
});

function bytesOf(piece: string): Uint8Array {
  return new TextEncoder().encode(piece);
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
