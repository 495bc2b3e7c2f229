import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { readNdjson, writeNdjson } from "@partd/records";
import {
  countBy,
  distinct,
  groupBy,
  join,
  type Output,
  type Progress,
  type RunOptions,
  reduceBy,
  shuffle,
  sort,
  split,
  top,
} from "@partd/shuffle";
import { type Event, events, LITTLE } from "./workload.js";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(joinPath(tmpdir(), "partd-ended-"));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

type Make = (
  source: AsyncIterable<Event> | Iterable<Event>,
  options: RunOptions,
) => Output<unknown>;

const OPERATIONS: Readonly<Record<string, Make>> = {
  groupBy: (source, options) => groupBy(source, { by: "key", ...options }),
  shuffle: (source, options) => shuffle(source, { by: "key", partitions: 4, ...options }),
  sort: (source, options) => sort(source, { by: "ms", ...options }),
  top: (source, options) => top(source, { n: 2000, by: "ms", ...options }),
  distinct: (source, options) => distinct(source, { by: "i", ...options }),
  "distinct records": (source, options) => distinct(source, options),
  countBy: (source, options) => countBy(source, { by: "i", ...options }),
  reduceBy: (source, options) =>
    reduceBy(source, { by: "i", initial: () => 0, reduce: (sum, { ms }) => sum + ms, ...options }),
  join: (source, options) => join(source, events(FEW), { by: "i", ...options }),
};
const names = Object.keys(OPERATIONS);

/** More than {@link LITTLE}. */
const MUCH = { count: 6000, keys: 20, skew: 0, padding: 300, seed: 7 };
/** One group, of many pieces. */
const ONE = { ...MUCH, count: 12_000, keys: 1 };
const FEW = { ...MUCH, count: 2000 };

const closed = { code: "ERR_PARTD_CLOSED" };

/** Records, and then nothing more. */
function standingStill(): { source: AsyncGenerator<Event>; reached: Promise<void> } {
  let reach: () => void;
  const reached = new Promise<void>((resolve) => {
    reach = resolve;
  });
  async function* source() {
    yield* events(MUCH);
    reach();
    await new Promise(() => {});
  }
  return { source: source(), reached: reached as Promise<void> };
}

describe.each(names)("%s", (name) => {
  const make = OPERATIONS[name] as Make;

  test("closed between two batches, the reader is told", async () => {
    const output = make(events(MUCH), { memory: LITTLE, dir });
    const reader = output.batches()[Symbol.asyncIterator]();
    expect((await reader.next()).done).toBe(false);
    await output.close();
    await expect(reader.next()).rejects.toMatchObject(closed);
    expect(readdirSync(dir)).toEqual([]);
  });

  test("closed while the source stands still, both end at once", async () => {
    const { source, reached } = standingStill();
    const output = make(source, { memory: LITTLE, dir });
    const read = expect(output.toArray()).rejects.toMatchObject(closed);
    await reached;
    await output.close();
    await read;
    expect(readdirSync(dir)).toEqual([]);
  });

  test("aborted while the source stands still, it rejects at once", async () => {
    const { source, reached } = standingStill();
    const controller = new AbortController();
    const { signal } = controller;
    const read = expect(make(source, { memory: LITTLE, dir, signal }).toArray()).rejects.toBe(STOP);
    await reached;
    controller.abort(STOP);
    await read;
    expect(readdirSync(dir)).toEqual([]);
  });

  test("a reader that leaves in mid-wait stops the reading of the source", async () => {
    let read = 0;
    let isEnded = false;
    async function* source() {
      try {
        for (;;) {
          for (const event of events(MUCH)) {
            read++;
            yield event;
          }
          await new Promise(setImmediate);
        }
      } finally {
        isEnded = true;
      }
    }
    const reader = make(source(), { memory: 4 * LITTLE, dir })
      .batches()
      [Symbol.asyncIterator]();
    const first = reader.next();
    first.catch(() => {});
    while (read === 0) await new Promise(setImmediate);
    await reader.return?.();
    const before = read;
    expect(isEnded).toBe(true);
    await new Promise(setImmediate);
    expect(read).toBe(before);
  });
});

const STOP = new Error("stop");

describe("a group whose run is closed", () => {
  // biome-ignore lint/suspicious/noExplicitAny: the iterators of several kinds.
  const readings: Readonly<Record<string, (group: any) => AsyncIterator<unknown>>> = {
    records: (group) => group[Symbol.asyncIterator](),
    batches: (group) => group.batches(),
    bytes: (group) => group.bytes(),
  };

  test.each([1e6, 64e6])("of memory %d gives nothing more", async (memory) => {
    for (const [how, read] of Object.entries(readings)) {
      const output = groupBy(events(ONE), { by: "key", memory, dir });
      const groups = output[Symbol.asyncIterator]();
      const { value: group } = await groups.next();
      const reader = read(group);
      expect([how, (await reader.next()).done]).toEqual([how, false]);
      const pending = reader.next();
      const closing = output.close();
      // It may have been at hand.
      const isTold = await pending.then(
        () => false,
        (error: unknown) => {
          expect(error).toMatchObject(closed);
          return true;
        },
      );
      await closing;
      if (!isTold) await expect(reader.next()).rejects.toMatchObject(closed);
      await expect(groups.next()).rejects.toMatchObject(closed);
    }
  });

  test.each([1e6, 64e6])("of memory %d is not read as if it were whole", async (memory) => {
    const output = groupBy(events(ONE), { by: "key", memory, dir });
    const groups = output[Symbol.asyncIterator]();
    const { value: group } = await groups.next();
    const all = expect(group.toArray()).rejects.toMatchObject(closed);
    await output.close();
    await all;
  });
});

test("a file that is written of a result which is closed is not taken for whole", async () => {
  const lines = Array.from(events(MUCH), ({ i, ms, pad }) => ({ i, ms, pad }));
  const output = sort(lines, { by: "ms", memory: LITTLE, dir });
  let taken = 0;
  const writing = pipeline(output.bytes(), async (pieces: AsyncIterable<Uint8Array>) => {
    for await (const _ of pieces) if (taken++ === 0) await output.close();
  });
  await expect(writing).rejects.toMatchObject(closed);
});

describe("a stream of bytes that stands still", () => {
  const stalled = (beginning: string) => {
    const stream = new Readable({ read() {} });
    if (beginning !== "") stream.push(beginning);
    return stream;
  };

  test.each(["", "{", '{"c":1}\n'])("after %j is left when the signal aborts", async (text) => {
    const ofRun = new AbortController();
    const groups = groupBy(readNdjson(stalled(text)), { by: "c", signal: ofRun.signal });
    const run = expect(groups.toArray()).rejects.toBe(STOP);
    const ofReader = new AbortController();
    const reader = readNdjson(stalled(text), { signal: ofReader.signal });
    const reading = expect(sort(reader, { by: "c" }).toArray()).rejects.toBe(STOP);
    await new Promise(setImmediate);
    ofRun.abort(STOP);
    ofReader.abort(STOP);
    await run;
    await reading;
  });
});

describe("bytes of a stream are handed on", () => {
  const sources: Readonly<Record<string, () => Readable>> = {
    "that stands still": () => {
      const stream = new Readable({ read() {} });
      stream.push('{"c":1}\n{"c":2}\n{"c":1}\n');
      return stream;
    },
    "without an end": () => {
      return new Readable({
        read() {
          setImmediate(() => this.push('{"c":1}\n{"c":2}\n'));
        },
      });
    },
  };

  test.each(Object.keys(sources))("%s, and the reader may leave", async (kind) => {
    for (const by of ["c", undefined]) {
      const source = sources[kind]?.() as Readable;
      for await (const bytes of distinct(readNdjson(source), { by }).bytes()) {
        expect(String(Buffer.from(bytes))).toBe('{"c":1}\n{"c":2}\n');
        break;
      }
      source.destroy();
    }
  });
});

test("a writer that is aborted ends the run that it writes", async () => {
  const { source, reached } = standingStill();
  const controller = new AbortController();
  const { signal } = controller;
  let tellEnd: () => void;
  const ended = new Promise<void>((resolve) => {
    tellEnd = resolve;
  });
  const onProgress = ({ phase }: Progress) => {
    if (phase === "stopped") tellEnd();
  };
  const sorted = sort(source, { by: "ms", memory: LITTLE, dir, onProgress });
  const written = expect(
    writeNdjson(sorted, joinPath(dir, "sorted.ndjson"), { signal }),
  ).rejects.toBe(STOP);
  await reached;
  controller.abort(STOP);
  await written;
  await ended;
  while (readdirSync(dir).length > 0) await new Promise(setImmediate);
});

test("progress tells whether a run is done, or was ended before", async () => {
  const last = async (read: (sorted: ReturnType<typeof sortOfFew>) => Promise<unknown>) => {
    let phase: Progress["phase"] | undefined;
    const sorted = sortOfFew((progress) => {
      phase = progress.phase;
    });
    await read(sorted);
    return phase;
  };
  const sortOfFew = (onProgress: (progress: Progress) => void) =>
    sort([{ ms: 2 }, { ms: 1 }], { by: "ms", onProgress });
  expect(await last((sorted) => sorted.toArray())).toBe("done");
  const left = async (sorted: ReturnType<typeof sortOfFew>) => {
    for await (const _ of sorted) break;
  };
  expect(await last(left)).toBe("stopped");
  let phase: Progress["phase"] | undefined;
  const failing = top([{ ms: 1 }], {
    n: 1,
    by: () => {
      throw STOP;
    },
    onProgress: (progress) => {
      phase = progress.phase;
    },
  });
  await expect(failing.toArray()).rejects.toBe(STOP);
  expect(phase).toBe("stopped");
});

test.each(["while it reads", "at its end"])(
  "a progress listener that throws %s ends the run, and leaves nothing",
  async (when) => {
    const calls: Progress["phase"][] = [];
    const onProgress = ({ phase }: Progress) => {
      calls.push(phase);
      if (when === "while it reads" ? phase !== "done" : phase === "done") throw STOP;
    };
    const rows = Array.from({ length: 40_000 }, (_, i) => ({ ms: i % 1000, pad: "x".repeat(40) }));
    const sorting = sort(rows, { by: "ms", memory: LITTLE, dir, onProgress }).toArray();
    await expect(sorting).rejects.toBe(STOP);
    expect(calls.filter((phase) => phase === "done" || phase === "stopped").length).toBeLessThan(2);
    expect(readdirSync(dir)).toEqual([]);
  },
);

test("one that throws what a thread tells ends the run, not the process", async () => {
  const path = joinPath(dir, "rows.ndjson");
  const lines = Array.from({ length: 300_000 }, (_, i) => `{"ms":${i % 1000}}\n`);
  writeFileSync(path, lines.join(""));
  const onProgress = () => {
    throw STOP;
  };
  const options = { by: "ms", threads: 2, memory: 64e6, onProgress } as const;
  const rows = () => readNdjson<{ ms: number }>(path);
  // One after the other: a rejection that nobody awaits yet would fail the test.
  await expect(countBy(rows(), options).toArray()).rejects.toBe(STOP);
  const into = joinPath(dir, "into");
  await expect(split(rows(), { ...options, partitions: 3, into })).rejects.toBe(STOP);
  expect(readdirSync(dir)).toEqual(["rows.ndjson"]);
  rmSync(path);
});
