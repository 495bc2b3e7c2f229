import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { describeReal, realPart } from "tooling/real-part";
import { ended, partd, scratch } from "./partd.js";

const cwd = scratch();
writeFileSync(join(cwd, "events.ndjson"), "");
mkdirSync(join(cwd, "a folder"));

/** What is typed before Tab, and what stands there behind it. */
const LINES: readonly (readonly [string, string])[] = [
  ["partd so", "sort"],
  ["partd ls --so", "ls --sort"],
  ["partd split ev", "split events.ndjson"],
  ["partd split --out a", "split --out a folder"],
  ["partd sort --from cs", "sort --from csv"],
  ["partd get s k --codec ms", "get s k --codec msgpack"],
  ["partd completion zs", "completion zsh"],
  ["partd sort x --rej", "sort x --reject"],
];

const script = async (shell: string) => {
  const { code, out } = await partd(["completion", shell]);
  expect(code).toBe(0);
  const path = join(cwd, shell === "zsh" ? "_partd" : shell);
  writeFileSync(path, out);
  return path;
};

const last = (line: string) => line.split(" ").at(-1) as string;

describeReal(realPart.program("bash"), "completions in bash", () => {
  test("of commands, options, values and files", async () => {
    const path = await script("bash");
    const asks = LINES.map(([line]) => {
      const words = line.split(" ").map((word) => `'${word}'`);
      return `COMP_WORDS=(${words.join(" ")}); COMP_CWORD=${words.length - 1}; _partd; printf '%s\\n' "\${COMPREPLY[*]}"`;
    });
    const program = `source '${path}'\n${asks.join("\n")}`;
    const { out, err } = await ended(spawn("bash", ["--norc", "-c", program], { cwd }));
    expect(err).toBe("");
    expect(out.trim().split("\n")).toEqual(
      LINES.map(([, full]) => (full.endsWith("folder") ? "a folder" : last(full))),
    );
  });
});

describeReal(realPart.program("zsh"), "completions in zsh", () => {
  test("typed into a terminal, with Tab", async () => {
    await script("zsh");
    const asks = LINES.map(
      ([line]) => `zpty -w -n z '${line}'$'\\t\\n'; zpty -r z out '*RAN<*>*'; print -r -- "$out"`,
    );
    const program = `
      zmodload zsh/zpty
      zpty z "zsh -f -i"
      zpty -w z "PS1=; fpath=($PWD \\$fpath); autoload -Uz compinit; compinit -u -d $PWD/dump; partd() { print -r -- \\"RAN<\\$*>\\" }; echo READ''Y"
      zpty -r z out '*READY*'
      ${asks.join("\n")}
      zpty -d z`;
    const { out } = await ended(spawn("zsh", ["-f", "-c", program], { cwd }));
    const ran = [...out.matchAll(/RAN<(.*)>/g)].map(([, words]) =>
      words?.trim().replace(/\/$/, ""),
    );
    expect(ran).toEqual(LINES.map(([, full]) => full));
  });
});

describeReal(realPart.program("fish"), "completions in fish", () => {
  test("as its own engine gives them", async () => {
    const path = await script("fish");
    const asks = LINES.map(([line]) => `echo "== "(complete -C '${line}' | string collect)`);
    const program = `source '${path}'; ${asks.join("; ")}`;
    const { out } = await ended(spawn("fish", ["--no-config", "-c", program], { cwd }));
    const answers = out
      .split("== ")
      .slice(1)
      .map((answer) => answer.split("\t")[0]?.trim());
    expect(answers.map((answer) => answer?.replace(/\/$/, "").replace("\\ ", " "))).toEqual(
      LINES.map(([, full]) => (full.endsWith("folder") ? "a folder" : last(full))),
    );
  });
});
