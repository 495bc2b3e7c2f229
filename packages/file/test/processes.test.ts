import { afterAll, expect, test } from "@jest/globals";
import { FileStore } from "@partd/file";
import { directories, type Program, program } from "./program.js";
import { checkRecords } from "./records.js";

/** How often the tests of this file run; `PARTD_REPEAT=10` is what a release has to pass. */
const REPEAT = Number(process.env.PARTD_REPEAT ?? 1);
/** Kills in a row over one data set; the full count is `PARTD_KILLS=100`. */
const KILLS = Number(process.env.PARTD_KILLS ?? 25);
const KEYS = 50;
const keys = Array.from({ length: KEYS }, (_, i) => `k${i}`);

const { make, clean } = directories();
afterAll(clean);

for (let round = 1; round <= REPEAT; round++) {
  test(`four writers of 500 appends each over 50 shared keys (${round})`, async () => {
    const directory = make();
    const writers = ["a", "b", "c", "d"].map(
      (name) => [name, program("writer", directory, name, KEYS, 500, 3_000)] as const,
    );
    await Promise.all(writers.map(([, writer]) => writer.line("end")));
    for (const [, writer] of writers) expect(writer.numbers.size).toBeGreaterThanOrEqual(500);
    const told = new Map(writers.map(([name, writer]) => [name, writer.numbers]));
    await using store = new FileStore(directory);
    checkRecords(await store.get(keys), told);
  });

  test(`${KILLS} writers killed in a row while another writes (${round})`, async () => {
    const directory = make();
    const told = new Map<string, ReadonlySet<number>>();
    await using store = new FileStore(directory);
    const steady = program("writer", directory, "steady", KEYS, 1e9, 2_000);
    const check = async () => {
      const before = new Map([...told, ["steady", steady.numbers] as const]);
      const values = await store.get(keys);
      checkRecords(values, before);
      return values;
    };
    const start = (i: number) => program("writer", directory, `v${i}`, KEYS, 1e9, 60_000);
    let next: Program = start(0);
    for (let i = 0; i < KILLS; i++) {
      const victim = next;
      await victim.line("ready");
      next = start(i + 1); // Started early: it writes at the same time for a while.
      // A random moment: at the beginning, or after some appends.
      const progress = victim.line(String(Math.floor(Math.random() * 12)));
      progress.catch(() => {}); // It may be killed before.
      await Promise.race([progress, pause(Math.random() * 150)]);
      await victim.kill();
      told.set(`v${i}`, victim.numbers);
      if (i % 10 === 9) await check();
    }
    // On a busy machine each victim may have been killed before its first append.
    await Promise.all([next.line("0"), steady.line("0")]);
    await next.kill();
    told.set(`v${KILLS}`, next.numbers);
    await steady.kill();
    const values = await check();
    expect(values.some((value) => value.byteLength > 0)).toBe(true);
    const appends = [...told.values()].reduce((sum, seqs) => sum + seqs.size, 0);
    expect(appends).toBeGreaterThan(0);
    expect(steady.numbers.size).toBeGreaterThan(0);
  });
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
