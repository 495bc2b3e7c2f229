#!/usr/bin/env node
// The commands of the repository, for a machine that has Node and npm and nothing else:
// `npm start`, `npm test`, `npm run bench` ... each installs what is missing, then lets
// turbo do the work that is not done yet. CONTRIBUTING.md lists them.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { clearResults, totals } from "./totals.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const BIN = join(ROOT, "node_modules", ".bin");
// Three on two cores: suites wait for disks, locks and processes a quarter of their time.
const TURBO = ["--concurrency=3", "--output-logs=new-only", "--log-order=grouped"];
const QUIET = ["--concurrency=2", "--output-logs=errors-only", "--log-order=grouped"];

const env = {
  ...process.env,
  PATH: `${BIN}${delimiter}${process.env.PATH}`,
  PARTD_REAL_PARTS: realParts(),
  TURBO_TELEMETRY_DISABLED: "1",
  DO_NOT_TRACK: "1",
  TURBO_NO_UPDATE_NOTIFIER: "1",
};

const commands = {
  start: (args) => build("example-flights") || script("examples/flights", "start", args),
  bench: (args) => build("bench") || script("packages/bench", "bench", args),
  chaos: (args) => build("chaos") || script("packages/chaos", "chaos", args),
  fuzz: (args) => build("fuzz") || script("packages/fuzz", "fuzz", args),
  test,
  build: (args) => turbo(["build"], args),
  lint: (args) => turbo([args.length > 0 ? "lint" : "lint:all"], args),
  typecheck: (args) =>
    args.length > 0
      ? turbo(["build", "typecheck"], args)
      : turbo(["build"], args) || turbo(["typecheck:all"], args),
  docs: (args) => turbo(["docs"], args),
  format: () => run("biome", ["check", "--write", "."]),
};

// Ctrl-C goes to the program that runs as well, and what is left is for it to tidy up.
process.on("SIGINT", () => {});

const [name, ...args] = process.argv.slice(2);
if (commands[name] === undefined) {
  console.error(`usage: run.mjs ${Object.keys(commands).join(" | ")}`);
  process.exit(1);
}
process.exit(install() || commands[name](args));

function test(args) {
  // A part of the packages alone says nothing about the totals.
  if (args.length > 0) return turbo(["build", "lint", "typecheck", "test", "check"], args);
  clearResults(ROOT);
  compile();
  // What looks at all packages at once needs them built, and no one who builds meanwhile.
  run("turbo", ["run", "build", "--continue=dependencies-successful", ...QUIET], true);
  const tasks = ["build", "lint:all", "typecheck:all", "test", "check:all"];
  const status = turbo(tasks, ["--continue=dependencies-successful", "--summarize"]);
  const { passed, failed, skipped, problems } = totals(ROOT);
  for (const problem of problems) console.log(`FAILED ${problem}`);
  console.log(`tests and checks: ${passed} passed, ${failed} failed, ${skipped} skipped`);
  return status || (failed > 0 ? 1 : 0);
}

/**
 * Compiles what is not in the cache, if that is much, by one process: it reads the types of Node and of the
 * language once (98 s of CPU for all packages, where one process for each took 295 s). Their builds then find
 * it done; what is wrong is theirs to tell.
 */
function compile() {
  const { stdout } = spawnSync("turbo", ["run", "build", "--dry=json"], {
    cwd: ROOT,
    env,
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  const missing = JSON.parse(stdout).tasks.filter(
    ({ command, cache }) => command.startsWith("tsc -b") && cache.status === "MISS",
  );
  if (missing.length < 4) return;
  const folders = missing.map(({ directory }) => directory);
  spawnSync("tsc", ["-b", ...folders], { cwd: ROOT, env, stdio: "ignore" });
}

function install() {
  const { packageManager } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  const flags = ["install", "--frozen-lockfile", "--prefer-offline", "--reporter=append-only"];
  const quiet = existsSync(join(ROOT, "node_modules", ".modules.yaml"));
  if (quiet) flags.push("--silent");
  return existsSync(join(BIN, "pnpm"))
    ? run("pnpm", flags)
    : run("npx", ["--yes", packageManager, ...flags]);
}

function build(name) {
  return run("turbo", ["run", "build", `--filter=${name}`, ...QUIET], !process.stdout.isTTY);
}

function turbo(tasks, args) {
  return run("turbo", ["run", ...tasks, ...TURBO, ...args]);
}

function script(folder, name, args) {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, folder, "package.json"), "utf8"));
  const [program, ...words] = scripts[name].split(" ");
  const command = program === "node" ? process.execPath : program;
  return run(command, [...words, ...args], false, join(ROOT, folder));
}

// Returns the exit status. With `hidden`, what is printed appears only on failure.
function run(command, args, hidden = false, cwd = ROOT) {
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    cwd,
    env,
    stdio: hidden ? ["ignore", "pipe", "pipe"] : "inherit",
    maxBuffer: 1 << 28,
  });
  if (error) console.error(`${command}: ${error.message}`);
  if (hidden && status !== 0) process.stderr.write(Buffer.concat([stdout, stderr]));
  return status ?? 1;
}

// Results that were cached while a real part was missing do not hold once it is there.
function realParts() {
  const python = ["partd", "numpy", "snappy", "blosc", "zmq", "msgpack", "pandas"];
  return [
    ...python.map((module) => `/usr/lib/python3/dist-packages/${module}`),
    "/usr/bin/redis-server",
    "/usr/bin/chromium",
    "/usr/bin/mlr",
    "/usr/bin/zsh",
    "/usr/bin/fish",
  ]
    .filter(existsSync)
    .map((path) => path.split("/").at(-1))
    .join(",");
}
