#!/usr/bin/env node
// Kills `partd split` and `partd sort` at random moments, goes on with --resume, and compares the output, byte for
// byte, with that of a run that was left alone: node packages/cli/kills.mjs [KILLS] [SEED]
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const KILLS = Number(process.argv[2] ?? 50);
const SEED = Number(process.argv[3] ?? 1);
const BIN = process.env.PARTD_BIN ?? fileURLToPath(new URL("bin/partd.mjs", import.meta.url));

const cwd = mkdtempSync(join(tmpdir(), "partd-kills-"));
const random = randomFrom(SEED);

try {
  writeFileSync(join(cwd, "events.ndjson"), events());
  // So little memory that both spill.
  const memory = ["--memory", "1MB", "--tmp", "tmp"];
  await killed("split", (out) => ["events.ndjson", "--by", "user", "--out", out, ...memory]);
  await killed("sort", (out) => ["events.ndjson", "--by", "user,id:desc", "-o", out, ...memory]);
} finally {
  rmSync(cwd, { recursive: true, force: true });
}

async function killed(command, options) {
  mkdirSync(join(cwd, "tmp"), { recursive: true });
  const words = (out) => [command, ...options(out)];
  const begun = performance.now();
  await complete(words("expected"));
  let whole = performance.now() - begun;
  const expected = digestOf("expected");
  const found = { killed: 0, resumed: 0, anew: 0, complete: 0 };
  while (found.killed < KILLS) {
    const isKilled = await runFor(random() * whole, words("out"));
    if (isKilled) found.killed++;
    else whole *= 0.9; // The machine has become faster.
    // Half of the runs that go on are killed as well.
    if (isBegun() && found.killed < KILLS && random() < 0.5) {
      if (await runFor(random() * whole, [...words("out"), "--resume"])) found.killed++;
    }
    if (existsSync(join(cwd, "out")) && !isBegun()) found.complete++;
    else if (isBegun()) {
      found.resumed++;
      await complete([...words("out"), "--resume"]);
    } else {
      found.anew++;
      await complete(words("out"));
    }
    if (digestOf("out") !== expected) throw new Error(`${command}: another output`);
    const left = [
      ...readdirSync(cwd).filter((name) => /^\.out/.test(name)),
      ...readdirSync(join(cwd, "tmp")),
    ];
    if (left.length > 0) throw new Error(`${command} left ${left.join(", ")}`);
    rmSync(join(cwd, "out"), { recursive: true });
  }
  rmSync(join(cwd, "expected"), { recursive: true });
  console.log(
    `${command}: killed ${found.killed} times; gone on with ${found.resumed}, begun anew ${found.anew}, complete ${found.complete}; each output the same, nothing left (seed ${SEED})`,
  );
}

function isBegun() {
  return existsSync(join(cwd, ".out.partial"));
}

/** Whether the command was still at work when it was killed. */
async function runFor(milliseconds, words) {
  const child = start(words, "ignore");
  const timer = setTimeout(() => child.kill("SIGKILL"), milliseconds);
  const { signal } = await ended(child);
  clearTimeout(timer);
  return signal === "SIGKILL";
}

async function complete(words) {
  const { code } = await ended(start(words, "inherit"));
  if (code !== 0) throw new Error(`partd ${words.join(" ")} ended with ${code}`);
}

function start(words, stderr) {
  return spawn(process.execPath, [BIN, ...words, "--quiet"], {
    cwd,
    stdio: ["ignore", "inherit", stderr],
  });
}

function ended(child) {
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code, signal) => resolve({ code, signal }));
  });
}

/** Of a file, or of all files of a directory with their names. */
function digestOf(name) {
  const path = join(cwd, name);
  const hash = createHash("sha256");
  if (statSync(path).isFile()) return hash.update(readFileSync(path)).digest("hex");
  for (const file of readdirSync(path).sort()) {
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(path, file)))
      .update("\0");
  }
  return hash.digest("hex");
}

/** Skewed, so that there are large files and very many small ones. */
function events() {
  const lines = Array.from({ length: 60_000 }, (_, i) => {
    const user = Math.floor((3_000 * ((i * 7919) % 9973) ** 2) / 9973 ** 2);
    return `{"user":"u${user}","id":${i},"text":"${"x".repeat(i % 60)}"}\n`;
  });
  return lines.join("");
}

/** Numbers from 0 to 1, the same for a seed (mulberry32). */
function randomFrom(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
