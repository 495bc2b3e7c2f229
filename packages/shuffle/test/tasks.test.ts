import { type ChildProcess, spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as immediate, setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import {
  Dict,
  Encode,
  isTuple,
  type OperationOptions,
  PartdError,
  type Store,
  type Tuple,
  tuple,
} from "@partd/core";
import { unlessAborted } from "@partd/core/author";
import { FileStore } from "@partd/file";
import { LogStore } from "@partd/log";
import { readCsv, readNdjson } from "@partd/records";
import { Client, Server } from "@partd/server";
import { countBy, type Progress, range, Shuffle } from "@partd/shuffle";
import { ChunkWriter, readChunks } from "../src/tasks/chunk.js";
import { StreamCounter } from "./workload.js";

/** For each kind of store. */
const KILLS = Number(process.env.PARTD_KILLS ?? 4);
const COUNT = 1000;
const TASKS = 6;
jest.setTimeout(1_800_000);
const program = fileURLToPath(new URL("task-process.mjs", import.meta.url));

interface Row {
  readonly key: number;
  readonly task: number;
  readonly i: number;
}

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "partd-tasks-test-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function attempt(where: string, task: number): ChildProcess {
  const args = [program, where, String(task), String(COUNT)];
  return spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
}

/** Every group with every record of every task once, in the order of tasks and within them. */
async function expectExact(store: Store) {
  const shuffle = new Shuffle<Row, "key">(store, { by: "key", partitions: 4 });
  const expected = new Map<number, string[]>();
  for (let task = 0; task < TASKS; task++) {
    for (let i = 0; i < COUNT; i++) {
      const key = (i * 7919) % 97;
      if (!expected.has(key)) expected.set(key, []);
      expected.get(key)?.push(`${task} ${i}`);
    }
  }
  for (let index = 0; index < 4; index++) {
    for await (const group of shuffle.groups(index)) {
      const rows = (await group.toArray()).map(({ task, i }) => `${task} ${i}`);
      expect(rows).toEqual(expected.get(group.key));
      expected.delete(group.key);
    }
  }
  expect(expected.size).toBe(0);
}

async function killAndFinish(where: string, store: Store) {
  const shuffle = new Shuffle<Row, "key">(store, { by: "key", partitions: 4 });
  let killed = 0;
  for (let round = 0; killed < KILLS; round++) {
    // Two attempts at the same task at a time; one of them is killed at a random moment of its life.
    const task = round % TASKS;
    const [victim, other] = [
      attempt(where, task),
      round % 3 === 0 ? attempt(where, task) : undefined,
    ];
    const ended = [victim, other].flatMap((child) => (child ? [once(child, "exit")] : []));
    await Promise.race([once(victim.stdout as NodeJS.ReadableStream, "data"), ended[0]]);
    await pause(Math.random() * 60); // Where in its life, not how long the test waits.
    if (victim.exitCode === null && victim.kill("SIGKILL")) killed++;
    for (const [code] of await Promise.all(ended)) expect([0, null]).toContain(code);
  }
  for (const task of [...Array(TASKS).keys()]) {
    if ((await shuffle.tasks()).includes(String(task))) continue;
    const [code] = await once(attempt(where, task), "exit");
    expect(code).toBe(0);
  }
  await shuffle.seal();
  await expectExact(store);
  await shuffle.sweep();
  await expectExact(store);
  const writers = new Map<string, Set<string>>();
  for await (const key of store.keys()) {
    if (!isTuple(key) || key.parts[1] !== "data") continue;
    const [, , , task, writer] = key.parts as [string, string, string, string, string];
    writers.set(task, (writers.get(task) ?? new Set()).add(writer));
  }
  for (const [, attempts] of writers) expect(attempts.size).toBe(1);
}

describe("workers that are killed leave each group exact", () => {
  test("over a FileStore", async () => {
    await using store = new FileStore(join(dir, "file"));
    await killAndFinish(`file=${join(dir, "file")}`, store);
  });

  test("over a LogStore", async () => {
    await using store = new LogStore(join(dir, "log"));
    await killAndFinish(`log=${join(dir, "log")}`, store);
  });

  test("over a Client", async () => {
    await using server = await Server.listen(new Dict(), { address: "ws://127.0.0.1:0" });
    await using store = new Client(server.address);
    await killAndFinish(`client=${server.address}`, store);
  });
});

describe("Shuffle", () => {
  test("counts the first attempt that commits, and none after the seal", async () => {
    const store = new Dict();
    const shuffle = new Shuffle<Row, "key">(store, { by: "key", partitions: 2 });
    const [a, b] = [1, 2].map((n) => shuffle.writer({ task: "t", attempt: n }));
    await a?.write([{ key: 1, task: 0, i: 1 }]);
    await b?.write([{ key: 1, task: 0, i: 2 }]);
    expect(await b?.commit()).toBe(true);
    expect(await a?.commit()).toBe(false);
    expect(await shuffle.tasks()).toEqual(["t"]);
    await expect(shuffle.partition(0).toArray()).rejects.toMatchObject({ code: "ERR_PARTD_VALUE" });
    const late = shuffle.writer({ task: "late" });
    await late.write([{ key: 1, task: 0, i: 3 }]);
    await shuffle.seal();
    await shuffle.seal();
    await expect(late.commit()).rejects.toMatchObject({ code: "ERR_PARTD_CLOSED" });
    const rows = [
      ...(await shuffle.partition(0).toArray()),
      ...(await shuffle.partition(1).toArray()),
    ];
    expect(rows.map(({ i }) => i)).toEqual([2]);
    await shuffle.drop();
    const keys: unknown[] = [];
    for await (const key of store.keys()) keys.push(key);
    expect(keys).toEqual([]);
  });

  test("sweeps nothing from under an attempt that is at work", async () => {
    const store = new Dict();
    const shuffle = new Shuffle<{ id: number; text: string }>(store, { by: "id", partitions: 1 });
    await store.append([[tuple("shuffle", "data", 0, "t", "killed"), Buffer.alloc(10)]]);
    const writer = shuffle.writer({ task: "t" });
    const text = "x".repeat(17 << 20); // More than a writer keeps in memory: the store has it before the commit.
    await writer.write([{ id: 1, text }]);
    await expect(shuffle.sweep()).rejects.toMatchObject({
      code: "ERR_PARTD_VALUE",
      message: expect.stringContaining("call seal()"),
    });
    expect(await writer.commit()).toBe(true);
    await shuffle.seal();
    expect(await store.count()).toBe(3);
    await shuffle.sweep();
    expect(await store.count()).toBe(2); // The journal and what was committed.
    const [record] = await shuffle.partition(0).toArray();
    expect(record?.text.length).toBe(text.length);
  });

  test("refuses another number of partitions, and what the store has lost", async () => {
    const store = new Dict();
    const shuffle = new Shuffle<Row, "key">(store, { by: "key", partitions: 1 });
    const writer = shuffle.writer({ task: 1 });
    await writer.write([{ key: 1, task: 0, i: 1 }]);
    await writer.commit();
    await shuffle.seal();
    const other = new Shuffle<Row>(store, { by: "key", partitions: 3 });
    await expect(other.writer({ task: 2 }).write([])).rejects.toMatchObject({
      code: "ERR_PARTD_VALUE",
    });
    for await (const key of store.keys()) {
      if (!isTuple(key) || key.parts[1] !== "data") continue;
      const bytes = await store.get(key);
      await store.delete(key);
      await store.append([[key, bytes.subarray(0, bytes.length - 1)]]);
    }
    await expect(shuffle.partition(0).toArray()).rejects.toMatchObject({
      code: "ERR_PARTD_CORRUPT",
    });
  });

  test("refuses another key than the first", async () => {
    const store = new Dict();
    const shuffle = new Shuffle<Row>(store, { by: "key", partitions: 1 });
    const writer = shuffle.writer({ task: 1 });
    await writer.write([{ key: 1, task: 0, i: 1 }]);
    await writer.commit();
    await shuffle.seal();
    const refused = {
      code: "ERR_PARTD_VALUE",
      message: expect.stringMatching(/\["key"\].*\["task"\]/),
    };
    const other = new Shuffle<Row>(store, { by: "task", partitions: 1 });
    await expect(other.partition(0).toArray()).rejects.toMatchObject(refused);
    await expect(other.writer({ task: 2 }).write([])).rejects.toMatchObject(refused);
    const same = new Shuffle<Row>(store, { by: ["key"], partitions: 1 });
    expect(await same.partition(0).toArray()).toHaveLength(1);
    // Functions cannot be compared.
    const byFunction = new Shuffle<Row>(store, { by: ({ key }) => key, partitions: 1 });
    expect(await byFunction.partition(0).toArray()).toHaveLength(1);
  });

  test("refuses another partitioner than the first", async () => {
    const store = new Dict();
    const partitioners = [undefined, range([5]), range([6]), (key: unknown) => Number(key) % 2];
    for (const [i, partitioner] of partitioners.entries()) {
      for (const [j, other] of partitioners.entries()) {
        const options = { by: "key", partitions: 2, name: String(i) } as const;
        await new Shuffle<Row>(store, { ...options, partitioner }).seal();
        const again = new Shuffle<Row>(store, { ...options, partitioner: other }).seal();
        if (i === j) await again;
        else await expect(again).rejects.toThrow("was begun with another partitioner");
      }
    }
  });

  test("refuses tasks without a name, which would all be one, and what is no store", () => {
    const shuffle = new Shuffle(new Dict(), { by: "key" });
    for (const task of [undefined, null, Number.NaN, { part: 1 }, "\ud800"] as never[]) {
      expect(() => shuffle.writer({ task })).toThrow("task must be text or a number");
    }
    for (const store of [undefined, null, {}, "dir"] as never[]) {
      expect(() => new Shuffle(store, { by: "key" })).toThrow("takes a store first");
    }
    expect(() => new Shuffle(new Dict(), { by: "key", name: 5 as never })).toThrow("name must be");
    const codec = { name: "any", encode: () => new Uint8Array(), decode: () => [], join: () => [] };
    const values = new Encode<unknown[]>(new Dict(), codec) as never;
    expect(() => new Shuffle(values, { by: "key" })).toThrow("give it the store without the codec");
    const result = countBy([{ key: 1 }], { by: "key", store: values });
    return expect(result.toArray()).rejects.toThrow(
      "store must be a store of bytes without a codec",
    );
  });

  test("a commit waits for a write, which an abort ends", async () => {
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const reached: (() => void)[] = [];
    const begun = () => new Promise<void>((resolve) => reached.push(resolve));
    async function* rows() {
      yield { key: 1 };
      reached.shift()?.();
      await released;
      yield { key: 2 };
    }
    const store = new Dict();
    const shuffle = new Shuffle<{ key: number }>(store, { by: "key", partitions: 1 });
    const aborted = shuffle.writer({ task: 0 });
    const firstBegun = begun();
    const left = aborted.write(rows());
    await firstBegun;
    await Promise.all([expect(left).rejects.toThrow("committed or aborted"), aborted.abort()]);

    const writer = shuffle.writer({ task: 1 });
    const secondBegun = begun();
    const written = writer.write(rows());
    await secondBegun;
    const committed = writer.commit();
    release();
    expect(await committed).toBe(true);
    await written;
    await shuffle.seal();
    expect(await shuffle.partition(0).toArray()).toEqual([{ key: 1 }, { key: 2 }]);
    // Nothing is left of the other.
    const keys: unknown[] = [];
    for await (const key of store.keys()) keys.push(key);
    expect(keys.length).toBe(2);
  });

  test("each call takes a signal, and one that is aborted changes nothing", async () => {
    const store = new Dict();
    const shuffle = new Shuffle<{ user: string }, "user">(store, { by: "user", partitions: 2 });
    const writer = shuffle.writer({ task: 1 });
    await writer.write([{ user: "ann" }]);
    const reason = new Error("enough");
    const options = { signal: AbortSignal.abort(reason) };
    await expect(writer.commit(options)).rejects.toBe(reason);
    await expect(shuffle.seal(options)).rejects.toBe(reason);
    await expect(shuffle.tasks(options)).rejects.toBe(reason);
    expect(await writer.commit()).toBe(true);
    await shuffle.seal();
    await expect(shuffle.sweep(options)).rejects.toBe(reason);
    await expect(shuffle.drop(options)).rejects.toBe(reason);
    expect(await shuffle.tasks()).toEqual(["1"]);
    const read = [await shuffle.partition(0).toArray(), await shuffle.partition(1).toArray()];
    expect(read.flat()).toEqual([{ user: "ann" }]);
  });

  test("rows of CSV are read as objects, beside those of other formats", async () => {
    const shuffle = new Shuffle<{ key: string }>(new Dict(), { by: "key", partitions: 3 });
    const rows = Array.from({ length: 50 }, (_, i) => ({ key: `k${i % 9}`, note: `"${i}",\n` }));
    const csv = `key,note\n${rows.map(({ key, note }) => `${key},"${note.replaceAll('"', '""')}"\n`).join("")}`;
    const sources = [
      rows,
      readCsv<{ key: string }>([Buffer.from(csv)]),
      readNdjson<{ key: string }>([
        Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join("")),
      ]),
    ];
    for (const [task, source] of sources.entries()) {
      const writer = shuffle.writer({ task });
      await writer.write(source);
      await writer.commit();
    }
    await shuffle.seal();
    let groups = 0;
    for (let index = 0; index < 3; index++) {
      for await (const group of shuffle.groups(index)) {
        const expected = rows.filter(({ key }) => key === group.key);
        expect(await group.toArray()).toEqual([expected, expected, expected].flat());
        groups++;
      }
    }
    expect(groups).toBe(9);
  });

  test("adds to the journal under the store's lock alone", async () => {
    // Of appends that overlap, some stores put one before another that was already read.
    class Overlapping extends Dict {
      override append(...args: Parameters<Dict["append"]>): Promise<void> {
        const keys = [...(args[0] as Iterable<[Tuple, Uint8Array]>)].map(([key]) => key.parts[1]);
        if (keys.includes("journal")) throw new Error("without the lock");
        return super.append(...args);
      }
    }
    const store = new Overlapping();
    const shuffle = new Shuffle<{ id: number }>(store, { by: "id", partitions: 1 });
    const writers = [1, 2].map((attempt) => shuffle.writer({ task: "t", attempt }));
    for (const [id, writer] of writers.entries()) await writer.write([{ id }]);
    const won = await Promise.all(writers.map((writer) => writer.commit()));
    expect(won.filter((counts) => counts)).toHaveLength(1);
    await shuffle.seal();
    expect(await shuffle.partition(0).toArray()).toEqual([{ id: won.indexOf(true) }]);
  });

  test("a commit whose lock is lost looks whether its line is there", async () => {
    class Losing extends Dict {
      losses = 0;
      override withLock<T>(
        critical: (store: Store) => T | Promise<T>,
        options?: OperationOptions,
      ): Promise<T> {
        return super.withLock(async (held) => {
          const result = await critical(held);
          if (this.losses-- > 0) throw new PartdError("ERR_PARTD_LOCK", "The lock was lost.");
          return result;
        }, options);
      }
    }
    const store = new Losing();
    const shuffle = new Shuffle<{ id: number }>(store, { by: "id", partitions: 1 });
    const writer = shuffle.writer({ task: "t" });
    await writer.write([{ id: 1 }]);
    store.losses = 1;
    expect(await writer.commit()).toBe(true);
    const journal = Buffer.from(await store.get(tuple("shuffle", "journal"))).toString();
    expect(journal.match(/"task"/g)).toHaveLength(1);
    store.losses = 10;
    await expect(shuffle.seal()).rejects.toMatchObject({ code: "ERR_PARTD_LOCK" });
    store.losses = 0;
    await shuffle.seal();
    expect(await shuffle.partition(0).toArray()).toEqual([{ id: 1 }]);
  });

  test("an attempt is refused if the shuffle was dropped since it began", async () => {
    const store = new Dict();
    const shuffle = new Shuffle<{ id: number }>(store, { by: "id", partitions: 1 });
    const before = [1, 2].map((task) => shuffle.writer({ task }));
    for (const writer of before) await writer.write([{ id: 1 }]);
    await store.drop();
    await expect(shuffle.seal()).rejects.toMatchObject({ code: "ERR_PARTD_CORRUPT" });
    for (const writer of before) {
      await expect(writer.commit()).rejects.toMatchObject({
        code: "ERR_PARTD_CORRUPT",
        message: expect.stringContaining("Run all tasks again"),
      });
      await writer.abort();
      // The next one is of a new shuffle, which must not take the other attempt.
      await shuffle.writer({ task: 3 }).commit();
    }
    expect(await store.count()).toBe(1);
    await shuffle.seal();
    expect(await shuffle.tasks()).toEqual(["3"]);
    expect(await shuffle.partition(0).toArray()).toEqual([]);
  });

  test("overlapping writes append in turn, as a store may swap appends that overlap", async () => {
    class Counting extends Dict {
      most = 0;
      #under = 0;
      override async append(...args: Parameters<Dict["append"]>): Promise<void> {
        this.most = Math.max(this.most, ++this.#under);
        for (let turn = 0; turn < 20; turn++) await immediate();
        await super.append(...args);
        this.#under--;
      }
    }
    const store = new Counting();
    const shuffle = new Shuffle<{ id: number; text: string }>(store, { by: "id", partitions: 1 });
    const writer = shuffle.writer({ task: "t" });
    const text = "x".repeat(17 << 20); // More than a writer keeps.
    await Promise.all([1, 2].map((id) => writer.write([{ id, text }])));
    expect(store.most).toBe(1);
    expect(await writer.commit()).toBe(true);
    await shuffle.seal();
    const read = await shuffle.partition(0).toArray();
    expect(read.map(({ id }) => id).sort()).toEqual([1, 2]);
  });

  test("a write that was aborted before it began leaves the attempt as it was", async () => {
    const shuffle = new Shuffle<{ id: number }>(new Dict(), { by: "id", partitions: 1 });
    const writer = shuffle.writer({ task: "t" });
    await writer.write([{ id: 1 }]);
    const reason = new Error("enough");
    const signal = AbortSignal.abort(reason);
    await expect(writer.write([{ id: 2 }], { signal })).rejects.toBe(reason);
    expect(await writer.commit()).toBe(true);
    await shuffle.seal();
    expect(await shuffle.partition(0).toArray()).toEqual([{ id: 1 }]);
  });

  test("a write is given up while the store does not answer", async () => {
    for (const silent of ["get", "append"]) {
      const gate = new EventEmitter();
      const asked = once(gate, "asked");
      const never = (_: unknown, options?: OperationOptions) => {
        gate.emit("asked");
        return unlessAborted(new Promise<never>(() => {}), options?.signal);
      };
      const store = Object.assign(new Dict(), { [silent]: never });
      const shuffle = new Shuffle<{ id: number; text: string }>(store, {
        by: "id",
        partitions: 1,
      });
      const given = new AbortController();
      const records = [{ id: 1, text: "x".repeat(17 << 20) }];
      const written = shuffle.writer({ task: "t" }).write(records, given);
      await asked;
      const reason = new Error("enough");
      given.abort(reason);
      await expect(written).rejects.toBe(reason);
    }
  });

  test("an abort that failed can be tried again", async () => {
    class Failing extends Dict {
      fails = true;
      override delete(...args: Parameters<Dict["delete"]>): Promise<void> {
        return this.fails ? Promise.reject(new Error("no answer")) : super.delete(...args);
      }
    }
    const store = new Failing();
    const shuffle = new Shuffle<{ id: number }>(store, { by: "id", partitions: 1 });
    const writer = shuffle.writer({ task: "t" });
    const records = [{ id: 1, text: "x".repeat(17 << 20) }];
    await writer.write(records);
    await expect(writer.abort()).rejects.toThrow("no answer");
    await expect(writer.write(records)).rejects.toMatchObject({ code: "ERR_PARTD_CLOSED" });
    store.fails = false;
    await writer.abort();
    expect(await store.count()).toBe(1);
  });

  test("a writer takes little memory for partitions without records", () => {
    const shuffle = new Shuffle<{ id: number }>(new Dict(), { by: "id", partitions: 65_536 });
    const before = process.memoryUsage().arrayBuffers;
    const writers = [1, 2].map((task) => shuffle.writer({ task }));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10e6); // It was 540 MB.
    expect(writers).toHaveLength(2);
  });

  test("a drop that was cut leaves no task that counts, and is completed by the next", async () => {
    class Cut extends Dict {
      calls = 0;
      override delete(...args: Parameters<Dict["delete"]>): Promise<void> {
        return this.calls++ > 0 ? Promise.reject(new Error("cut")) : super.delete(...args);
      }
    }
    const store = new Cut();
    await store.append({ other: new Uint8Array(1), data: new Uint8Array(1) });
    const shuffle = new Shuffle<{ id: number }>(store, { by: "id", partitions: 4 });
    const fill = async () => {
      const writer = shuffle.writer({ task: 1 });
      await writer.write(Array.from({ length: 20 }, (_, id) => ({ id })));
      await writer.commit();
      await shuffle.seal();
    };
    await fill();
    await expect(shuffle.drop()).rejects.toThrow("cut");
    expect(await shuffle.tasks()).toEqual([]);
    store.calls = Number.NEGATIVE_INFINITY;
    await fill();
    let records = 0;
    for (let i = 0; i < 4; i++) records += (await shuffle.partition(i).toArray()).length;
    expect(records).toBe(20);
    await shuffle.drop();
    expect(await store.count()).toBe(2);
  });

  test("tasks come in the order of their numbers, then of their names", async () => {
    const tasks = [-1, "02", "2", 2.5, 10, "10.5", 1e21, "", "1e3", "2024-01", "a", "b"];
    for (const order of [tasks, [...tasks].reverse()]) {
      const shuffle = new Shuffle<{ id: number }>(new Dict(), { by: "id", partitions: 1 });
      for (const task of order) await shuffle.writer({ task }).commit();
      expect(await shuffle.tasks()).toEqual(tasks.map(String));
    }
  });

  test("each call refuses an option that it does not have, and changes nothing", async () => {
    const shuffle = new Shuffle<{ id: number }>(new Dict(), { by: "id", partitions: 1 });
    const writer = shuffle.writer({ task: 1 });
    const misspelt = { singal: undefined, signl: AbortSignal.abort() } as object;
    const calls: [string, () => Promise<unknown>][] = [
      ["write", () => writer.write([{ id: 1 }], misspelt)],
      ["commit", () => writer.commit(misspelt)],
      ["tasks", () => shuffle.tasks(misspelt)],
      ["seal", () => shuffle.seal(misspelt)],
      ["sweep", () => shuffle.sweep(misspelt)],
      ["drop", () => shuffle.drop(misspelt)],
    ];
    for (const [name, call] of calls) {
      await expect(call()).rejects.toMatchObject({
        code: "ERR_PARTD_VALUE",
        message: `${name}() has no option signl. Did you mean signal?`,
      });
    }
    await writer.write([{ id: 2 }]);
    expect(await writer.commit()).toBe(true);
  });

  test("partition() checks its options and reports progress, as groups() does", async () => {
    const shuffle = new Shuffle<{ id: number }>(new Dict(), { by: "id", partitions: 1 });
    const writer = shuffle.writer({ task: 1 });
    await writer.write([{ id: 1 }, { id: 2 }]);
    await writer.commit();
    await shuffle.seal();
    for (const read of ["partition", "groups"] as const) {
      const told: Progress[] = [];
      const options = { onProgress: (progress: Progress) => told.push(progress) };
      for await (const _ of shuffle[read](0, options) as AsyncIterable<unknown>);
      expect(told.at(-1)).toMatchObject({ phase: "done", records: 2, bytes: 18 });
      const wrong = shuffle[read](0, { memory: "1 GB" as never });
      await expect(wrong.toArray()).rejects.toMatchObject({ code: "ERR_PARTD_VALUE" });
    }
  });

  test("refuses a journal that holds what no shuffle writes", async () => {
    const written = '"written":[[1,9]]';
    for (const line of [
      "5",
      "null",
      "{}",
      "[]",
      '"a"',
      "{",
      `{"task":1,"writer":"w",${written}}`,
    ]) {
      const store = new Dict();
      await store.append([[tuple("shuffle", "journal"), Buffer.from(`${line}\n`)]]);
      const shuffle = new Shuffle<Row>(store, { by: "key" });
      const refused = { code: "ERR_PARTD_CORRUPT", message: expect.stringContaining("no shuffle") };
      await expect(shuffle.tasks()).rejects.toMatchObject(refused);
      await expect(shuffle.writer({ task: 1 }).commit()).rejects.toMatchObject(refused);
      await expect(shuffle.partition(0).toArray()).rejects.toMatchObject(refused);
    }
  });

  test("readers leave no stream of the store open, at the end and before", async () => {
    const store = new StreamCounter();
    const shuffle = new Shuffle<{ id: number }>(store, { by: "id", partitions: 2 });
    for (const task of [1, 2, 3]) {
      const writer = shuffle.writer({ task });
      await writer.write(Array.from({ length: 10 }, (_, id) => ({ id })));
      await writer.commit();
    }
    await shuffle.seal();
    await shuffle.partition(0).toArray();
    expect(store.open).toBe(0);
    for await (const _ of shuffle.partition(1)) break;
    for await (const _ of shuffle.groups(1)) break;
    expect(store.open).toBe(0);
  });

  test("reads a journal that says nothing of the key", async () => {
    const store = new Dict();
    await store.append([[tuple("shuffle", "journal"), Buffer.from('{"partitions":1}\n')]]);
    const shuffle = new Shuffle<Row>(store, { by: "key", partitions: 1 });
    const writer = shuffle.writer({ task: 1 });
    await writer.write([{ key: 1, task: 0, i: 1 }]);
    expect(await writer.commit()).toBe(true);
  });

  test("counts a chunk once that a store has written twice", async () => {
    const chunks = new ChunkWriter();
    const taken = ["a", "b"].map((text) => {
      const bytes = Buffer.from(text);
      chunks.add(bytes, 0, 1, bytes, 0, 1);
      return new Uint8Array(chunks.take());
    });
    const [a, b] = taken as [Uint8Array, Uint8Array];
    async function* stored() {
      for (const chunk of [a, a, b, b]) for (const byte of chunk) yield Uint8Array.of(byte);
    }
    let read = "";
    for await (const batch of readChunks(stored(), "key", [2, a.length + b.length])) {
      read += Buffer.from(batch.bytes.subarray(0, batch.ends[batch.count - 1])).toString();
    }
    expect(read).toBe("ab");
  });
});
