#!/usr/bin/env node
// The whole verification: `npm test`, then what only a user of the published packages
// would notice. Ends with one line of totals. Called by .ci/run.
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { runOnRuntimes } from "./runtimes.mjs";
import { packageFolders, totals } from "./totals.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const tested = spawnSync("npm", ["test"], { cwd: ROOT, stdio: ["ignore", "inherit", "inherit"] });
const sum = totals(ROOT);
if (tested.status !== 0 && sum.failed === 0) fail(`npm test ended with ${tested.status}`);

const scratch = mkdtempSync(join(tmpdir(), "partd-ci-"));
try {
  check("the lockfile names no host", () => {
    const named = /.*(https?:\/\/|tarball:).*/.exec(read("pnpm-lock.yaml"));
    if (named) throw new Error(named[0].trim());
  });
  const tarballs = tarballsOfChecks();
  await firstExample(join(scratch, "empty"), tarballs);
  commandLine(join(scratch, "command"), tarballs);
  await runOnRuntimes((name, error) => {
    if (error === undefined) sum.passed++;
    else fail(`${name}\n${error}`);
  });
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

const skipped = sum.skipped > 0 ? `, ${sum.skipped} skipped` : "";
process.exitCode = sum.failed > 0 ? 1 : 0;
console.log(`${sum.passed} passed, ${sum.failed} failed${skipped}`);

/** The tarballs that the packages' checks have made and looked at. */
function tarballsOfChecks() {
  const tarballs = new Map();
  for (const path of packageFolders(ROOT)) {
    const manifest = JSON.parse(read(join(path, "package.json")));
    if (manifest.private) continue;
    check(`${manifest.name} was packed`, () => {
      const file = join(ROOT, path, ".results/package.tgz");
      if (!existsSync(file)) throw new Error(`no ${file}`);
      tarballs.set(manifest.name, { manifest, file });
    });
  }
  return tarballs;
}

async function firstExample(folder, tarballs) {
  // Loaded only now: before `npm test` its own imports may not be installed.
  const { compileSnippet, snippets } = await import("./snippet-code.mjs");
  const [example] = snippets(read("README.md"));
  check("README: has an example", () => {
    if (!example) throw new Error("no ```ts block");
  });
  if (!example) return;

  const names = [...example.code.matchAll(/"(@partd\/[^"/]+)/g)].map(([, name]) => name);
  check("README: the packages of the first example install from tarballs", () => {
    installTarballs(folder, names, tarballs);
  });
  check("README: the first example runs from tarballs", () => {
    writeFileSync(join(folder, "example.mjs"), compileSnippet(example.code));
    run(process.execPath, ["example.mjs"], { cwd: folder });
  });
}

// As the first user of @partd/cli: one install, then npx, on a file of three lines.
function commandLine(folder, tarballs) {
  check("@partd/cli: installs from tarballs, without a script", () => {
    installTarballs(folder, ["@partd/cli"], tarballs);
    const lock = JSON.parse(readFileSync(join(folder, "package-lock.json"), "utf8"));
    const scripts = Object.entries(lock.packages).filter(
      ([, { hasInstallScript }]) => hasInstallScript,
    );
    if (scripts.length > 0) throw new Error(`install scripts: ${scripts.map(([path]) => path)}`);
  });
  check("@partd/cli: npx partd groups, splits and keeps", () => {
    const input = '{"user":"ann","ms":1}\n{"user":"bob","ms":2}\n{"user":"ann","ms":3}\n';
    writeFileSync(join(folder, "events.ndjson"), input);
    const partd = (...words) => run("npx", ["--no-install", "partd", ...words], { cwd: folder });
    const sums = partd("group", "events.ndjson", "--by", "user", "--sum", "ms");
    equal(sums.split("\n").sort().join(), ',{"user":"ann","sum_ms":4},{"user":"bob","sum_ms":2}');
    partd("split", "events.ndjson", "--by", "user", "--out", "users");
    equal(readdirSync(join(folder, "users")).sort().join(), "ann.ndjson,bob.ndjson");
    partd("append", "kept", "ann", "users/ann.ndjson", "--codec", "json", "--compress", "zstd");
    equal(partd("ls", "kept"), "ann\n");
  });
}

// The packages of these names, and those of ours that they need.
function installTarballs(folder, names, tarballs) {
  const needed = new Set(names);
  for (const name of needed) {
    for (const other of Object.keys(tarballs.get(name)?.manifest.dependencies ?? {})) {
      if (tarballs.has(other)) needed.add(other);
    }
  }
  const files = [...needed].map((name) => {
    if (!tarballs.has(name)) throw new Error(`no tarball of ${name}`);
    return tarballs.get(name).file;
  });
  mkdirSync(folder);
  writeFileSync(join(folder, "package.json"), '{ "private": true }\n');
  run("npm", ["install", "--no-audit", "--no-fund", ...files], { cwd: folder });
}

function equal(found, expected) {
  if (found !== expected) throw new Error(`${JSON.stringify(found)} is not ${expected}`);
}

function check(name, body) {
  try {
    body();
    sum.passed++;
    console.log(`ok     ${name}`);
  } catch (error) {
    fail(`${name}\n${error.message}`);
  }
}

function fail(what) {
  sum.failed++;
  console.log(`FAILED ${what}`);
}

function run(command, args, options) {
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    encoding: "utf8",
    timeout: 300_000,
    ...options,
  });
  if (status !== 0) throw error ?? new Error(`${stdout}${stderr}`);
  return stdout;
}

function read(path) {
  return readFileSync(new URL(path, pathToFileURL(join(ROOT, "/"))), "utf8");
}
