// Adds up what a run of all tests and checks left behind: jest.json and check.json in the
// .results folder of every package, and turbo's own summary for tasks that count as one
// check each (each package's build, and of all packages lint and typecheck).
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

const SUMMARIES = join(".turbo", "runs");

export function clearResults(root) {
  rmSync(join(root, SUMMARIES), { recursive: true, force: true });
  for (const folder of packageFolders(root)) {
    rmSync(join(root, folder, ".results"), { recursive: true, force: true });
  }
}

export function totals(root) {
  const sum = { passed: 0, failed: 0, skipped: 0, problems: [] };
  addTasks(sum, join(root, SUMMARIES));
  for (const folder of packageFolders(root)) {
    const { name, scripts = {} } = read(join(root, folder, "package.json"));
    const results = (file) => join(root, folder, ".results", file);
    if (scripts.test && hasTests(join(root, folder, "test"))) {
      addTests(sum, name, results("jest.json"));
    }
    if (scripts.check) addChecks(sum, name, results("check.json"));
  }
  return sum;
}

function addTasks(sum, folder) {
  const [summary] = existsSync(folder) ? readdirSync(folder) : [];
  if (summary === undefined) {
    sum.failed++;
    sum.problems.push("the run left no summary");
    return;
  }
  for (const { task, taskId, command, execution } of read(join(folder, summary)).tasks) {
    if (["test", "check:all"].includes(task) || command === "<NONEXISTENT>") continue;
    if (execution?.exitCode === 0) sum.passed++;
    else {
      sum.failed++;
      sum.problems.push(execution ? taskId : `${taskId}: not run, as what it needs failed`);
    }
  }
}

function addTests(sum, name, path) {
  if (!existsSync(path)) {
    sum.failed++;
    sum.problems.push(`${name}: its tests left no result`);
    return;
  }
  const report = read(path);
  sum.passed += report.numPassedTests;
  sum.failed += report.numFailedTests;
  sum.skipped += report.numPendingTests + report.numTodoTests;
  // A test file that cannot be loaded counts as one failure.
  sum.failed += report.numRuntimeErrorTestSuites;
  for (const suite of report.testResults) {
    for (const { status, fullName } of suite.assertionResults) {
      if (status === "failed") sum.problems.push(`${name}: ${fullName}`);
    }
    if (suite.status === "failed" && suite.assertionResults.length === 0) {
      sum.problems.push(`${name}: ${suite.name.split("/").at(-1)} could not run`);
    }
  }
}

function addChecks(sum, name, path) {
  if (!existsSync(path)) {
    sum.failed++;
    sum.problems.push(`${name}: its checks left no result`);
    return;
  }
  for (const { name: check, passed } of read(path)) {
    if (passed) sum.passed++;
    else {
      sum.failed++;
      sum.problems.push(`${name}: ${check}`);
    }
  }
}

export function packageFolders(root) {
  return ["packages", "examples"]
    .filter((group) => existsSync(join(root, group)))
    .flatMap((group) => readdirSync(join(root, group)).map((name) => join(group, name)))
    .filter((folder) => existsSync(join(root, folder, "package.json")))
    .sort();
}

function hasTests(folder) {
  if (!existsSync(folder)) return false;
  return readdirSync(folder, { recursive: true }).some((name) => name.endsWith(".test.ts"));
}

function read(path) {
  return JSON.parse(readFileSync(path, "utf8"));
}
