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
