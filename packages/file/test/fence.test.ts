import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, expect, test } from "@jest/globals";
import { FileStore } from "@partd/file";
import { directories, program } from "./program.js";

const { make, clean } = directories();
afterAll(clean);

/** Times that a holder is stopped in the middle of a change; `PARTD_FENCE_ROUNDS=1000` for a release. */
const ROUNDS = Number(process.env.PARTD_FENCE_ROUNDS ?? 25);
const KEYS = 24;
const RECORD = 2 ** 17;
const keys = Array.from({ length: KEYS }, (_, i) => `k${i}`);
/** The steady clocks of both processes run so much faster, so that a holder is silent sooner. */
const FASTER = 100;

const { now } = performance;
beforeEach(() => {
  const start = now.call(performance);
  performance.now = () => start + (now.call(performance) - start) * FASTER;
});
afterEach(() => {
  performance.now = now;
});

/** The numbers of the records of a key, in order. */
function recordsOf(value: Uint8Array): string[] {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (bytes.length % RECORD !== 0) throw new Error(`${bytes.length} bytes are not whole records`);
  return Array.from({ length: bytes.length / RECORD }, (_, i) => {
    const record = bytes.subarray(i * RECORD, (i + 1) * RECORD);
    const name = record.toString("latin1", 0, 8);
    if (!record.equals(Buffer.alloc(RECORD, name))) throw new Error(`mixed with another: ${name}`);
    return name.trim();
  });
}

const onLinux = process.platform === "linux" ? test : test.skip;

onLinux(
  `what a holder writes that was stopped and passed over is not seen: ${ROUNDS} rounds`,
  async () => {
    const directory = make();
    const kid = program("fence", directory, KEYS, RECORD, FASTER);
    const pid = kid.process.pid as number;
    await kid.line("ready");
    let stopped = 0;
    // Where each change ends before the stop reaches it, more rounds are tried.
    for (let round = 0; round < ROUNDS || (stopped === 0 && round < 20 * ROUNDS); round++) {
      const what = ["append", "append", "append", "delete", "delete1"][round % 5] as string;
      await using mine = new FileStore(directory, { staleMs: 2_000 });
      await mine.drop();
      await mine.append([
        ["deleted", Buffer.from("0")],
        ["k0", Buffer.alloc(RECORD, `${"0".padStart(7)}P`)],
      ]);
      await mine.close();

      kid.say(`${what} ${round}`);
      const k = join(directory, `k${Math.floor(Math.random() * KEYS)}`);
      const some = Math.random() * 4 * FASTER;
      const isBegun = () =>
        what === "append" && round % 2
          ? (statSync(k, { throwIfNoEntry: false })?.size ?? 0) > 0
          : readdirSync(join(directory, ".partd", "lock")).length > 0;
      for (const since = performance.now(); performance.now() - since < 3_000 * FASTER; ) {
        if (isBegun()) break;
        if (kid.lines.some((line) => line.startsWith(`${round} `))) break;
        await new Promise(setImmediate);
      }
      for (const since = performance.now(); performance.now() - since < some; )
        readdirSync(directory);
      kid.process.kill("SIGSTOP");
      while (!/\) T/.test(readFileSync(`/proc/${pid}/stat`, "latin1"))) readdirSync(directory);

      await using other = new FileStore(directory, { staleMs: 2_000 });
      const ours = `${round}B`;
      const value = Buffer.alloc(RECORD, `${String(round).padStart(7)}B`);
      await other.append([
        ...keys.map((key) => [key, value] as const),
        ["deleted", Buffer.from("1")],
      ]);
      const wasSilent = !kid.lines.some((line) => line.startsWith(`${round} `));
      kid.process.kill("SIGCONT");
      const outcome = await kid.line(`${round} `);
      await other.close();

      await using later = new FileStore(directory, { staleMs: 2_000 });
      const values = (await later.get(keys)).map(recordsOf);
      const where = [round, what, outcome];
      for (const records of values)
        expect([where, records]).toEqual([where, expect.arrayContaining([ours])]);
      const counts = new Set(
        values.map((records) => records.filter((one) => one === `${round}A`).length),
      );
      expect([where, counts.size]).toEqual([where, 1]);
      const [count] = counts;
      if (what === "append" && outcome.endsWith(" done"))
        expect([where, count]).toEqual([where, 1]);
      if (outcome.endsWith(" not")) expect([where, count]).toEqual([where, 0]);
      const deleted = Buffer.from(await later.get("deleted")).toString();
      if (!outcome.endsWith(" done")) expect([where, deleted.at(-1)]).toEqual([where, "1"]);
      if (wasSilent && outcome.includes("ERR_PARTD_LOCK")) stopped++;
    }
    kid.process.stdin?.end();
    await kid.end();
    expect(stopped).toBeGreaterThan(0);
    console.log(`${stopped} of at least ${ROUNDS} were passed over in the middle of a change`);
  },
  600_000 + ROUNDS * 2_000,
);
