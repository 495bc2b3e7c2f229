import { Worker } from "node:worker_threads";
import { describe, expect, test } from "@jest/globals";
import { PartdError } from "@partd/core";
import { portOf, startWorker } from "../dist/worker.node.js"; // Beside the program that it loads.
import { BZ2, bz2Codec } from "../src/index.js";
import { compress, decompress } from "../src/libbz2.js";
import {
  type Answer,
  type Job,
  runJob,
  WorkerPool,
  type WorkerPort,
  workerDied,
} from "../src/worker-pool.js";

const words = new TextEncoder().encode("a partition of words ".repeat(10_000));

test("streams that follow one another are one value", async () => {
  const one = await compress(words, 1);
  const read = await decompress(Uint8Array.from([...one, ...one]), 2 ** 30);
  expect(read.byteLength).toBe(2 * words.byteLength);
  await expect(decompress(Uint8Array.from([...one, 0]), 2 ** 30)).rejects.toThrow();
});

test("many streams of a few bytes let other work run in between", async () => {
  const one = await compress(new Uint8Array(), 9);
  const many = new Uint8Array(20_000 * one.byteLength);
  for (let at = 0; at < many.byteLength; at += one.byteLength) many.set(one, at);
  let turns = 0;
  let turn = setImmediate(function next() {
    turns++;
    turn = setImmediate(next);
  });
  expect(await decompress(many, 2 ** 30)).toEqual(new Uint8Array());
  clearImmediate(turn);
  expect(turns).toBeGreaterThan(2);
});

test("a Buffer that is compressed in a worker stays its owner's", async () => {
  const around = Buffer.alloc(600_000);
  let state = 1;
  for (let i = 0; i < around.length; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) | 0;
    around[i] = state >>> 24;
  }
  const bytes = around.subarray(100, 300_100);
  const packed = await bz2Codec().encode(bytes);
  expect(around.byteLength).toBe(600_000);
  expect(packed.byteLength).toBeGreaterThan(64 * 1024);
  const framed = Buffer.concat([Buffer.alloc(8), packed, Buffer.alloc(100_000)]);
  const read = await bz2Codec().decode(framed.subarray(8, 8 + packed.byteLength));
  expect(framed.byteLength).toBe(8 + packed.byteLength + 100_000);
  expect(Buffer.compare(read, bytes)).toBe(0);
});

test("the level is in the header", async () => {
  for (const level of [1, 9]) {
    const head = (await bz2Codec({ level }).encode(words)).subarray(0, 4);
    expect(new TextDecoder().decode(head)).toBe(`BZh${level}`);
  }
  expect(() => bz2Codec({ level: 0 })).toThrow(
    expect.objectContaining({ code: "ERR_PARTD_VALUE" }),
  );
  expect(BZ2.name).toBe("BZ2");
});

describe("the workers", () => {
  const job = { work: "compress", bytes: words, setting: 9 } as const;

  test("take up to four jobs at once; the others wait for them", async () => {
    const workers = new FakeWorkers();
    const pool = new WorkerPool(workers.start);
    const results = await Promise.all(Array.from({ length: 10 }, () => pool.run(job)));
    expect(workers.started).toBe(4);
    expect(workers.most).toBe(4);
    expect(workers.busy).toBe(0);
    for (const result of results) expect(result).toEqual(await compress(words, 9));
  });

  test("answer with the error that the work gave", async () => {
    const pool = new WorkerPool(new FakeWorkers().start);
    const bytes = await compress(words, 9);
    await expect(pool.run({ work: "decompress", bytes, setting: 10 })).rejects.toMatchObject({
      code: "ERR_PARTD_CODEC",
    });
    await expect(
      pool.run({ work: "decompress", bytes: bytes.subarray(1), setting: 2 ** 30 }),
    ).rejects.toThrow("damaged");
  });

  test("are done without where there are none, or they cannot be loaded", async () => {
    expect(await new WorkerPool(() => undefined).run(job)).toEqual(await compress(words, 9));
    const workers = new FakeWorkers();
    workers.onPost = (port) => port.onEnd();
    const pool = new WorkerPool(workers.start);
    for (let i = 0; i < 6; i++) expect((await pool.run(job)).byteLength).toBeGreaterThan(0);
  });

  test("that cannot be given a job are free again, and only that job is rejected", async () => {
    const workers = new FakeWorkers();
    const pool = new WorkerPool(workers.start);
    let posts = 0;
    workers.onPost = () => {
      if (posts++ % 2 === 0) throw new DOMException("out of memory", "DataCloneError");
      return undefined;
    };
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => pool.run(job)));
    const failed = results.filter(({ status }) => status === "rejected");
    expect(failed.length).toBe(10);
    for (const one of failed) {
      expect(one).toMatchObject({
        reason: { code: "ERR_PARTD_IO", cause: { name: "DataCloneError" } },
      });
    }
    expect(workers.started).toBe(4);
    expect(workers.busy).toBe(0);
  });

  test("that die reject their job and are replaced, with a job or idle", async () => {
    const workers = new FakeWorkers();
    const pool = new WorkerPool(workers.start);
    workers.onPost = (port) => port.onEnd(workerDied(new Error("killed")));
    const results = await Promise.allSettled(Array.from({ length: 9 }, () => pool.run(job)));
    for (const result of results) {
      expect(result).toMatchObject({
        reason: { code: "ERR_PARTD_IO", message: expect.stringContaining("try again") },
      });
    }
    expect(workers.started).toBe(9);
    workers.onPost = () => undefined;
    await Promise.all(Array.from({ length: 4 }, () => pool.run(job)));
    for (const port of workers.ports.slice(-4)) port.onEnd(workerDied(new Error("killed")));
    await Promise.all(Array.from({ length: 9 }, () => pool.run(job)));
    expect(workers.started).toBe(17);
    expect(workers.most).toBeLessThanOrEqual(4);
    expect(workers.busy).toBe(0);
  });

  test("that have nothing to do for a while are ended", async () => {
    const workers = new FakeWorkers();
    const ended = new Promise<WorkerPort>((resolve) => {
      workers.onEnded = resolve;
    });
    const pool = new WorkerPool(workers.start, 1);
    await pool.run(job);
    expect(await ended).toBe(workers.ports[0]);
    expect(await pool.run(job)).toEqual(await compress(words, 9));
    expect(workers.started).toBe(2);
  });

  test("of Node are loaded, answer, and are missed when they come to their end", async () => {
    const port = startWorker() as WorkerPort;
    const pool = new WorkerPool(() => port);
    expect(await pool.run(job)).toEqual(await compress(words, 9));
    expect(startWorker()).toBeDefined(); // Not so where one could not be loaded.
    let loaded = true;
    const dies = (program: string) =>
      new WorkerPool(() =>
        portOf(new Worker(program, { eval: true }), () => {
          loaded = false;
        }),
      );
    const begin =
      'const { parentPort } = require("worker_threads"); parentPort.postMessage("ready");';
    for (const end of ["process.exit(3)", "throw new Error('uncaught')"]) {
      const dying = dies(`${begin} parentPort.on("message", () => { ${end} });`);
      await expect(dying.run(job)).rejects.toMatchObject({ code: "ERR_PARTD_IO" });
      await expect(dying.run(job)).rejects.toMatchObject({ code: "ERR_PARTD_IO" });
      expect(loaded).toBe(true);
    }
    expect(await dies("require('./no-such-file')").run(job)).toEqual(await compress(words, 9));
    expect(loaded).toBe(false);
  });
});

/** Workers in this thread: what the pool does with them is what is tested. */
class FakeWorkers {
  started = 0;
  busy = 0;
  most = 0;
  readonly ports: WorkerPort[] = [];
  onEnded: (port: WorkerPort) => void = () => {};
  /** What a worker does with a job, if it is not to do it. */
  onPost: (port: WorkerPort) => unknown = () => undefined;

  readonly start = (): WorkerPort => {
    this.started++;
    const port: WorkerPort = {
      post: (job) => {
        this.most = Math.max(this.most, this.busy);
        let ended = false;
        const { onEnd } = port;
        port.onEnd = (error) => {
          ended = true;
          onEnd(error);
        };
        this.onPost(port);
        port.onEnd = onEnd;
        if (!ended) void answer(job);
      },
      onAnswer: () => {},
      onEnd: () => {},
      end: () => this.onEnded(port),
      setBusy: (busy) => {
        this.busy += busy ? 1 : -1;
      },
    };
    const answer = async (job: Job) => {
      const answer = await runJob(job).then(
        (bytes): Answer => ({ bytes }),
        (error: Error): Answer => ({
          message: error.message,
          code: error instanceof PartdError ? error.code : undefined,
        }),
      );
      port.onAnswer(answer);
    };
    this.ports.push(port);
    return port;
  };
}
