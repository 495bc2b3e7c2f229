import type { SideResult } from "./run.js";
import type { Target, Work } from "./suite.js";

/** The results of one work as a Markdown table. */
export function table(work: Work, results: readonly SideResult[]): string {
  const named = [...new Set(results.flatMap(({ figures }) => Object.keys(figures)))];
  const rows = results.map((result, i) => [
    result.name,
    milliseconds(result.medianSeconds),
    milliseconds(result.cpuSeconds),
    ...named.map((name) => result.figures[name] ?? ""),
    `${amount(result.rate)} ${work.unit}/s`,
    i === 0 ? "" : `${result.ratio.toFixed(2)}x`,
    i === 0 || !result.target ? "" : verdict(result, results[0] as SideResult),
    `${Math.min(...result.seconds).toFixed(3)} to ${Math.max(...result.seconds).toFixed(3)} s`,
  ]);
  const head = ["side", "median", "CPU", ...named, "rate", "ours / theirs", "target", "range"];
  return [
    `### ${work.title}`,
    "",
    line(head),
    line(head.map(() => "---")),
    ...rows.map(line),
    "",
  ].join("\n");
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}

/** The tables of a run as a page. */
export function page(suites: readonly string[], tables: readonly string[]): string {
  return `${PREFACE.replace("SUITES", suites.join(" "))}\n${tables.join("\n")}\n`;
}

const PREFACE = `# Benchmarks

What \`npm run bench -- SUITES\` printed. The first line of each table is ours; all sides of a table
ran in turn on one machine, each in a process of its own. Times are medians, CPU is that of the side's process, and ratios are taken
round by round. A target that was missed says so. How it is measured: [packages/bench](../packages/bench/README.md).
`;

/** Whether ours reached the target against `theirs`. */
export function isMet({ ratio, target }: SideResult, ours: SideResult): boolean {
  return !target || ratio >= target.ratio || ours.busy >= (target.orBusy ?? 2);
}

function verdict(theirs: SideResult, ours: SideResult): string {
  const { ratio, orBusy } = theirs.target as Target;
  const busy = orBusy === undefined ? "" : ` or ${percent(orBusy)} busy: ${percent(ours.busy)}`;
  return `${shown(ratio)}x${busy}, ${isMet(theirs, ours) ? "met" : "MISSED"}`;
}

/** A target below one is a part: 1/11, not 0.0909. */
function shown(ratio: number): string {
  return Number.isInteger(1 / ratio) && ratio < 1
    ? `1/${1 / ratio}`
    : String(Number(ratio.toFixed(2)));
}

function milliseconds(seconds: number): string {
  return `${(seconds * 1000).toFixed(seconds < 0.1 ? 1 : 0)} ms`;
}

function percent(part: number): string {
  return `${(100 * part).toFixed(0)} %`;
}

function amount(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  if (value >= 1e3) return `${(value / 1e3).toFixed(1)} k`;
  return value.toFixed(value < 10 ? 2 : 0);
}
