// Which files of a package's src import which: the graph behind the check for circles and the table
// of the floor plan.
import { readdirSync, readFileSync } from "node:fs";
import { join, posix, sep } from "node:path";
import ts from "typescript";

/** Each TypeScript file of `src`, with the files of the same package that it imports. */
export function importGraph(src) {
  const files = readdirSync(src, { recursive: true })
    .map((name) => name.split(sep).join("/"))
    .filter((name) => /\.[mc]?tsx?$/.test(name));
  const graph = new Map();
  for (const name of files) {
    const text = readFileSync(join(src, name), "utf8");
    const imports = statements(name, text).flatMap(({ specifier, typesOnly }) => {
      if (!specifier.startsWith(".")) return [];
      const target = posix.join(posix.dirname(name), specifier).replace(/\.([mc]?)js$/, ".$1ts");
      return files.includes(target) ? [{ target, typesOnly }] : [];
    });
    graph.set(name, { lines: text.split("\n").length - 1, imports });
  }
  return graph;
}

/** Circles of imports that remain at run time, each as the files on it. */
export function circles(graph) {
  const found = [];
  const state = new Map();
  const path = [];
  const visit = (name) => {
    state.set(name, "open");
    path.push(name);
    for (const { target, typesOnly } of graph.get(name).imports) {
      if (typesOnly) continue;
      if (state.get(target) === "open") found.push([...path.slice(path.indexOf(target)), target]);
      else if (!state.has(target)) visit(target);
    }
    path.pop();
    state.set(name, "done");
  };
  for (const name of graph.keys()) if (!state.has(name)) visit(name);
  return found;
}

function statements(name, text) {
  const source = ts.createSourceFile(name, text, ts.ScriptTarget.Latest);
  const found = [];
  for (const node of source.statements) {
    if (!ts.isImportDeclaration(node) && !ts.isExportDeclaration(node)) continue;
    if (!node.moduleSpecifier) continue;
    const clause = ts.isImportDeclaration(node) ? node.importClause : node;
    const named = ts.isImportDeclaration(node) ? clause?.namedBindings : node.exportClause;
    const each = named?.elements;
    const typesOnly =
      clause?.isTypeOnly === true ||
      (each !== undefined && !clause?.name && each.length > 0 && each.every((e) => e.isTypeOnly));
    found.push({ specifier: node.moduleSpecifier.text, typesOnly });
  }
  return found;
}
