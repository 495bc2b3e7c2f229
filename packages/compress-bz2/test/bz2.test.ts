import { describe, expect, test } from "@jest/globals";
import { PartdError } from "@partd/core";
import { BZ2, bz2Codec } from "../src/index.js";
import { compress, decompress } from "../src/libbz2.js";
import { type Answer, runJob, WorkerPool, type WorkerPort } from "../src/worker-pool.js";

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

  test("are done without where there are none, or one comes to its end", async () => {
    expect(await new WorkerPool(() => undefined).run(job)).toEqual(await compress(words, 9));
    const workers = new FakeWorkers();
    workers.dying = true;
    const pool = new WorkerPool(workers.start);
    for (let i = 0; i < 6; i++) expect((await pool.run(job)).byteLength).toBeGreaterThan(0);
  });
});

/** Workers in this thread: what the pool does with them is what is tested. */
class FakeWorkers {
  started = 0;
  busy = 0;
  most = 0;
  dying = false;

  readonly start = (): WorkerPort => {
    this.started++;
    const port: WorkerPort = {
      post: async (job) => {
        this.most = Math.max(this.most, this.busy);
        if (this.dying) return port.onEnd();
        const answer = await runJob(job).then(
          (bytes): Answer => ({ bytes }),
          (error: Error): Answer => ({
            message: error.message,
            code: error instanceof PartdError ? error.code : undefined,
          }),
        );
        port.onAnswer(answer);
      },
      onAnswer: () => {},
      onEnd: () => {},
      setBusy: (busy) => {
        this.busy += busy ? 1 : -1;
      },
    };
    return port;
  };
}
