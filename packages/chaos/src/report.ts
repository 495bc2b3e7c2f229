import type { Violation } from "./check.js";
import type { Operation } from "./history.js";

/** The shortest history that breaks each rule, as lines of text. */
export function reportOf(violations: readonly Violation[]): string[] {
  const byRule = new Map<string, Violation[]>();
  for (const one of violations) byRule.set(one.rule, [...(byRule.get(one.rule) ?? []), one]);
  return [...byRule].flatMap(([rule, [shortest, ...more]]) => {
    const { what, witnesses } = shortest as Violation;
    const byTime = [...witnesses].sort((a, b) => a.invoked - b.invoked);
    const start = byTime[0]?.invoked ?? 0;
    const count = more.length > 0 ? ` (and ${more.length} more)` : "";
    return [`${rule}: ${what}${count}`, ...byTime.map((one) => `  ${lineOf(one, start, what)}`)];
  });
}

/** One call as a line: of the values it read, only those of the keys that the finding names. */
function lineOf(operation: Operation, start: number, what: string): string {
  const { lane, n, kind, keys, elements, invoked, completed, outcome, values, error } = operation;
  const at = (time: number) =>
    time === Number.POSITIVE_INFINITY ? "…" : ((time - start) / 1000).toFixed(2);
  const subject = elements.length > 0 ? elements.map((one) => one.join(" ")) : keys;
  const all = Object.entries(values ?? {});
  const named = all.filter(([key]) => what.split(/[ ,]/).includes(key));
  const shown = (named.length > 0 ? named : all).map(([key, ids]) => `${key}: ${ids.join(" ")}`);
  const answer = values ? ` → ${shown.join("; ")}` : "";
  const failure = error ? ` (${error})` : "";
  return `${at(invoked)}–${at(completed)} ms ${lane}.${n} ${kind} ${subject.join(", ")}: ${outcome}${failure}${answer}`;
}
