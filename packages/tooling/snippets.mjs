// Runs the ```ts blocks of a Markdown file, so that no document promises what the
// packages do not do.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, test } from "@jest/globals";
import { compileSnippet, snippets } from "./snippet-code.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const TIMEOUT_MS = 120_000;

export function testSnippets(file) {
  const path = fileURLToPath(file);
  const found = snippets(readFileSync(path, "utf8"));
  if (found.length === 0) return;
  describe(relative(ROOT, path), () => {
    for (const { line, code, run } of found) {
      if (run) {
        test(`line ${line}`, () => runSnippet(home(path), code), TIMEOUT_MS);
      } else {
        test(`line ${line} (compiles)`, () => void compileSnippet(code));
      }
    }
  });
}

// The folder lies inside the package that owns the document, so that its imports
// resolve there; other packages of ours are found through docs-test.
function runSnippet(owner, code) {
  mkdirSync(join(owner, ".snippets"), { recursive: true });
  const folder = mkdtempSync(join(owner, ".snippets", "run-"));
  try {
    writeFileSync(join(folder, "snippet.mjs"), compileSnippet(code));
    const { status, signal, stdout, stderr } = spawnSync(
      process.execPath,
      ["--import", new URL("snippet-resolve.mjs", import.meta.url).href, "snippet.mjs"],
      { cwd: folder, encoding: "utf8", timeout: TIMEOUT_MS - 5_000, killSignal: "SIGKILL" },
    );
    if (status !== 0) throw new Error(`${signal ?? ""}${stdout}${stderr}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function home(path) {
  for (let folder = dirname(path); folder !== dirname(folder); folder = dirname(folder)) {
    const owner = existsSync(join(folder, "package.json"));
    if (owner) return join(folder, "..") === join(ROOT, "..") ? docsTest() : folder;
  }
  return docsTest();
}

function docsTest() {
  return join(ROOT, "packages", "docs-test");
}
