/** Whether this is a run of `--quick`: `main.ts` says so to the processes of the sides, too. */
export const IS_QUICK = process.env["BENCH_QUICK"] === "1";

/** A size of a work. Titles name it, so that a quick run is only compared with quick ones. */
export function sized(full: number, quick: number): number {
  return IS_QUICK ? quick : full;
}

/** A number as titles write it: `1,000`. */
export function counted(count: number): string {
  return count.toLocaleString("en");
}
