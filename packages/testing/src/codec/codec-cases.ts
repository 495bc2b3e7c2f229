import { isPartdError, type KeyTree, tuple } from "@partd/core";
import { brandOf } from "@partd/core/author";
import { equal, fail, ok, rejection, rejects, show } from "../check.js";
import { collect } from "../store/store-case.js";
import { type CodecCase, snapshot } from "./codec-case.js";

export function codecCases<V>(): CodecCase<V>[] {
  return [
    {
      name: "each sample reads back as it was appended, by get, stream and pop",
      run: async ({ store, samples, join, same }) => {
        ok(samples.length > 0, "codecContract needs at least one sample");
        for (const [i, sample] of samples.entries()) {
          const key = `sample ${i}`;
          await store.append([[key, sample]]);
          const expected = join([sample]);
          same(await store.get(key), expected, `${key}, got`);
          const streamed = await collect(store.stream(key));
          same(join(streamed), expected, `${key}, streamed`);
          same(await store.pop(key), expected, `${key}, popped`);
          same(await store.get(key), join([]), `${key}, after pop`);
        }
      },
    },
    {
      name: "values appended to one key are joined in their order",
      run: async ({ store, samples, join, same }) => {
        for (const sample of samples) await store.append({ x: sample });
        same(await store.get("x"), join([...samples]), "one append each");
        await store.append(samples.map((sample) => ["y", sample] as const));
        same(await store.get("y"), join([...samples]), "all in one append");
        await store.append(samples.map((sample, i) => [tuple("z", i), sample] as const));
        const values = await store.get([samples.map((_, i) => tuple("z", i)), "y"]);
        for (const [i, sample] of samples.entries()) {
          same(values[0][i] as V, join([sample]), `a key for sample ${i}`);
        }
        same(values[1], join([...samples]), "in nested lists");
      },
    },
    {
      name: "what was appended in turn reads back in that order, amid other calls",
      run: async ({ store, samples, join, same }) => {
        const appended = Array.from({ length: 24 }, (_, i) => samples[i % samples.length] as V);
        const writer = async (key: string) => {
          for (const value of appended) await store.append([[key, value]]);
        };
        await Promise.all(["a", "b", "c"].map(writer));
        for (const key of ["a", "b", "c"]) same(await store.get(key), join(appended), key);
      },
    },
    {
      name: "a key never written is what the codec joins from nothing",
      run: async ({ store, join, same }) => {
        same(await store.get("x"), join([]), "get");
        same(await store.pop("x"), join([]), "pop");
        equal(await collect(store.stream("x")), [], "stream");
        await store.append({});
        equal(await store.get([]), [], "get of an empty list");
        equal(await collect(store.keys()), [], "keys");
      },
    },
    {
      name: "lists of keys that hold themselves are ERR_PARTD_KEY, and nothing is read or removed",
      run: async ({ store, samples, join, same }) => {
        const [sample] = samples as readonly [V];
        await store.append({ x: sample });
        const ring: KeyTree[] = ["x"];
        ring.push(ring);
        await rejects(() => store.get(ring), "ERR_PARTD_KEY", "get");
        await rejects(() => store.pop(ring), "ERR_PARTD_KEY", "pop");
        same(await store.get("x"), join([sample]), "x, afterwards");
      },
    },
    {
      name: "iset, delete, keys, flush, drop and withLock work on values",
      run: async ({ store, samples, join, same }) => {
        const [sample] = samples as readonly [V];
        await store.append({ x: sample, y: sample });
        await store.iset("x", sample);
        await store.iset("x", sample);
        same(await store.get("x"), join([sample]), "x after iset");
        await store.delete("y");
        same(await store.get("y"), join([]), "y after delete");
        await store.flush();
        await store.withLock(async (held) => {
          await held.append({ x: sample });
          same(await held.get("x"), join([sample, sample]), "x under the lock");
          same(await held.pop("x"), join([sample, sample]), "x, popped under the lock");
          await held.append({ z: sample });
        });
        const keys = (await collect(store.keys())).map(String);
        ok(keys.includes("z") && !keys.includes("x"), "keys should list z, and not x");
        await store.drop();
        equal(await collect(store.keys()), [], "keys after drop");
      },
    },
    {
      name: "what is called inside withLock and not awaited is carried out inside",
      run: async ({ store, samples, join, same }) => {
        const [sample] = samples as readonly [V];
        await store.append({ popped: sample, deleted: sample });
        const inside: Promise<unknown>[] = [];
        await store.withLock((held) => {
          inside.push(held.append({ appended: sample }), held.iset("set", sample));
          inside.push(held.pop("popped"), held.delete("deleted"));
        });
        const [, , popped] = await Promise.all(inside);
        same(popped as V, join([sample]), "what was popped");
        const keys = ["appended", "set", "popped", "deleted"];
        const [appended, set, none, neither] = await store.get(keys);
        same(appended as V, join([sample]), "what was appended");
        same(set as V, join([sample]), "what was set");
        same(none as V, join([]), "the key that was popped");
        same(neither as V, join([]), "the key that was deleted");
      },
    },
    {
      name: "a buffer may be changed as soon as its append has resolved",
      run: async ({ store, samples, join, same }) => {
        for (const [i, sample] of samples.entries()) {
          if (!(sample instanceof Uint8Array)) continue;
          const buffer = sample.slice();
          await store.append([[`${i}`, buffer as V]]);
          buffer.fill(0x55);
          same(await store.get(`${i}`), join([sample]), `sample ${i}`);
        }
      },
    },
    {
      name: "two answers of get share nothing with the store, nor with one another",
      run: async ({ store, samples, join, same }) => {
        await store.append(samples.map((sample) => ["x", sample] as const));
        const first = await store.get("x");
        const second = await store.get("x");
        if (ArrayBuffer.isView(first)) {
          new Uint8Array(first.buffer, first.byteOffset, first.byteLength).fill(0x55);
        } else if (Array.isArray(first)) first.length = 0;
        same(second, join([...samples]), "the second answer");
        same(await store.get("x"), join([...samples]), "a third answer");
      },
    },
    {
      name: "an append whose signal is aborted rejects with its reason and appends nothing",
      run: async ({ store, samples }) => {
        const reason = new Error("given up");
        const options = { signal: AbortSignal.abort(reason) };
        const data = { x: samples[0] as V };
        for (const call of [
          () => store.append(data, options),
          () => store.get("x", options),
          () => store.pop("x", options),
          () => collect(store.stream("x", options)),
        ]) {
          ok((await rejection(call, "a call")) === reason, "it should reject with the reason");
        }
        equal(await collect(store.keys()), [], "keys");
      },
    },
    {
      name: "a stream may be left early, and stops when it is aborted",
      run: async ({ store, samples, options, join, same }) => {
        const [sample] = samples as readonly [V];
        for (let i = 0; i < 3; i++) await store.append({ x: sample });
        for await (const _ of store.stream("x")) break;
        const controller = new AbortController();
        const reason = new Error("given up");
        const values = store.stream("x", { signal: controller.signal })[Symbol.asyncIterator]();
        await values.next();
        controller.abort(reason);
        const [next] = await Promise.allSettled([values.next()]);
        if (next.status === "rejected") ok(next.reason === reason, "it should give the reason");
        else ok(options.framed === false && next.value.done, "a value came after the abort");
        same(await store.get("x"), join([sample, sample, sample]), "x");
      },
    },
    {
      name: "close closes the store below, and later calls are ERR_PARTD_CLOSED",
      run: async ({ store, lower, samples }) => {
        await store.append({ x: samples[0] as V });
        await store.close();
        await store.close();
        const data = { x: samples[0] as V };
        await rejects(() => store.append(data), "ERR_PARTD_CLOSED", "append");
        await rejects(() => store.get("x"), "ERR_PARTD_CLOSED", "get");
        await rejects(() => collect(store.stream("x")), "ERR_PARTD_CLOSED", "stream");
        await rejects(() => lower.get("x"), "ERR_PARTD_CLOSED", "get of the store below");
      },
    },
    {
      name: "a value that cannot be carried is ERR_PARTD_CODEC, naming the key, and appends nothing",
      when: ({ unencodable }) => (unencodable?.length ?? 0) > 0,
      run: async ({ fresh, samples, options, join, same }) => {
        const [sample] = samples as readonly [V];
        for (const [i, bad] of (options.unencodable as readonly V[]).entries()) {
          const { store, lower } = fresh();
          await store.append({ good: sample });
          const before = await snapshot(lower);
          const key = tuple("bad", i);
          const batch = [["good", sample] as const, [key, bad] as const, ["more", sample] as const];
          await rejects(() => store.append(batch), "ERR_PARTD_CODEC", `append of value ${i}`, key);
          await rejects(() => store.iset(key, bad), "ERR_PARTD_CODEC", `iset of value ${i}`, key);
          equal(await snapshot(lower), before, `the store, after value ${i}`);
          await store.iset(key, sample);
          same(await store.get(key), join([sample]), "a good iset after a refused one");
        }
      },
    },
    {
      name: "an item that cannot be read is ERR_PARTD_CODEC, naming its place, and appends nothing",
      when: ({ anyItems }) => anyItems,
      run: async ({ fresh, samples }) => {
        const [sample] = samples as readonly [V];
        for (const [what, bad, inner] of unreadable()) {
          const { store, lower } = fresh();
          const list = [0, { list: [bad] }] as V;
          const append = () => store.append({ good: sample, bad: list });
          const error = await rejection(append, what);
          if (!isPartdError(error, "ERR_PARTD_CODEC")) fail(`${what}: got ${show(error)}`, error);
          equal(error.key, "bad", `${what}: the error's key`);
          ok(error.message.includes(`[1].list[0]${inner} `), `${what}: no place in ${show(error)}`);
          equal(await snapshot(lower), new Map(), `the store, after ${what}`);
        }
      },
    },
    {
      name: "a list that grows at each look at its length comes to an end",
      when: ({ anyItems }) => anyItems,
      run: async ({ fresh }) => {
        let length = 0;
        const get = (list: unknown[], name: PropertyKey) => {
          if (name !== "length") return /^\d+$/.test(String(name)) ? 1 : Reflect.get(list, name);
          if (++length > 1e4) throw new Error("looked at for ever");
          return length;
        };
        try {
          await fresh().store.append({ x: [new Proxy<unknown[]>([], { get })] as V });
        } catch (error) {
          if (!isPartdError(error, "ERR_PARTD_CODEC")) fail(`got ${show(error)}`, error);
        }
        ok(length < 1e4, `its length is looked at ${length} times`);
      },
    },
    {
      name: "a built-in object whose prototype was changed is kept or refused, never written as a record",
      when: ({ anyItems }) => anyItems,
      run: async ({ fresh }) => {
        for (const [what, item] of disguised()) {
          const { store } = fresh();
          try {
            await store.append({ x: [0, { list: [item] }] as V });
          } catch (error) {
            if (!isPartdError(error, "ERR_PARTD_CODEC")) fail(`${what}: got ${show(error)}`, error);
            ok(error.message.includes("[1].list[0] "), `${what}: no place in ${show(error)}`);
            continue;
          }
          const [, { list }] = (await store.get("x")) as [0, { list: [object] }];
          equal(brandOf(list[0]), brandOf(item), what);
        }
      },
    },
    {
      name: "many small frames in one key",
      run: async ({ store, samples, options, join, same }) => {
        const [sample] = samples as readonly [V];
        const values = new Array<V>(options.manyFrames ?? 5_000).fill(sample);
        await store.append(values.map((value) => ["x", value] as const));
        same(await store.get("x"), join([...values]), "get");
        const streamed = await collect(store.stream("x"));
        if (options.framed === false) {
          same(join(streamed), join([...values]), "streamed");
          return;
        }
        for (const value of streamed.slice(0, 10)) {
          same(join([value]), join([sample]), "a streamed value");
        }
        equal(streamed.length, values.length, "the number of streamed values");
      },
    },
    {
      name: "a large frame",
      run: async ({ store, samples, options, join, same }) => {
        for (const [i, sample] of samples.entries()) {
          const large = join(new Array<V>(options.largeFrame ?? 2_000).fill(sample));
          await store.append([
            [`${i}`, large],
            [`${i}`, sample],
          ]);
          const expected = join([large, sample]);
          same(await store.get(`${i}`), expected, `sample ${i}, got`);
          same(join(await collect(store.stream(`${i}`))), expected, `sample ${i}, streamed`);
        }
      },
    },
  ];
}

/** Items that throw when they are read, and where within the item. */
function unreadable(): [what: string, item: unknown, inner: string][] {
  const get = () => {
    throw new Error("not today");
  };
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  return [
    ["a getter that throws", Object.defineProperty({}, "a", { get, enumerable: true }), ".a"],
    ["an item that throws", Object.defineProperty([1], 0, { get, enumerable: true }), "[0]"],
    ["a revoked proxy", revoked.proxy, ""],
    ["a proxy that lists nothing", new Proxy({ a: 1 }, { ownKeys: get }), ""],
    ["a proxy without a prototype", new Proxy({ a: 1 }, { getPrototypeOf: get }), ""],
    ["no Map, but of its class", Object.create(Map.prototype), ""],
  ];
}

/** Objects that look like records, and hold more than their properties. */
function* disguised(): Generator<[what: string, item: object]> {
  const objects = [
    () => new Map([[1, 2]]),
    () => new Set([1]),
    () => new Date(5),
    () => /x/g,
    () => new Error("x"),
    () => new Uint8Array([1, 2]),
    () => new ArrayBuffer(3),
    () => new DataView(new ArrayBuffer(3)),
    () => Object(1n) as object,
    () => Object("text") as object,
    () => new WeakMap(),
    () => new WeakSet(),
  ];
  for (const make of objects) {
    const what = Object.prototype.toString.call(make());
    yield [`${what} without a prototype`, Object.setPrototypeOf(make(), null)];
    const isEmpty = Object.keys(make()).length === 0;
    if (isEmpty) yield [`${what} of Object`, Object.setPrototypeOf(make(), Object.prototype)];
    const fields = Object.setPrototypeOf(Object.assign(make(), { field: 1 }), Plain.prototype);
    yield [`${what} of another class, with a field`, fields];
  }
}

class Plain {}
