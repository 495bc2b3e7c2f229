#!/usr/bin/env node
// Prints the floor plan as a table: for each package its files, their lines, and how many files have
// just one importer, which had better be part of it. A package's entries, which only list exports, are
// no importers, and what they export has a reader outside.
//
//   node packages/tooling/floor-plan.mjs [ROOT]
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { circles, importGraph } from "./imports.mjs";

const root = process.argv[2] ?? fileURLToPath(new URL("../..", import.meta.url));
console.log(
  "| package | files | lines | median lines a file | files with one importer | circles |",
);
console.log("|---|---|---|---|---|---|");
const all = { files: 0, lines: 0, single: 0, circles: 0 };
for (const name of readdirSync(join(root, "packages")).sort()) {
  const src = join(root, "packages", name, "src");
  if (!existsSync(src)) continue;
  const graph = importGraph(src);
  if (graph.size === 0) continue;
  const lines = [...graph.values()].map((file) => file.lines).sort((a, b) => a - b);
  const entries = entriesOf(join(root, "packages", name));
  const importers = new Map();
  for (const [file, { imports }] of graph) {
    if (entries.has(file)) continue;
    for (const target of new Set(imports.map((one) => one.target))) {
      importers.set(target, (importers.get(target) ?? 0) + 1);
    }
  }
  const exported = new Set(
    [...entries].flatMap((file) => (graph.get(file)?.imports ?? []).map((one) => one.target)),
  );
  const single = [...importers].filter(([file, n]) => n === 1 && !exported.has(file)).length;
  const sum = lines.reduce((a, b) => a + b, 0);
  const around = circles(graph).length;
  all.files += graph.size;
  all.lines += sum;
  all.single += single;
  all.circles += around;
  const median = lines[lines.length >> 1];
  console.log(`| ${name} | ${graph.size} | ${sum} | ${median} | ${single} | ${around} |`);
}
console.log(`| all | ${all.files} | ${all.lines} | | ${all.single} | ${all.circles} |`);

/** The files of `src` that the package's `exports` name. */
function entriesOf(folder) {
  const { exports = {} } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const targets = [...JSON.stringify(exports).matchAll(/\.\/dist\/([^"]+?)\.(?:d\.ts|js)"/g)];
  return new Set(["index.ts", ...targets.map(([, name]) => `${name}.ts`)]);
}
