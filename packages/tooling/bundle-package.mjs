#!/usr/bin/env node
// Joins the modules that tsc left in build/ into few files, in dist/: Node needs about a millisecond
// for each file that it imports, in each process and in each thread. Entries are what package.json
// names in "exports" and "imports". What the first one needs is one file, which the others use too, so
// that a class is there once; the first one therefore runs wherever the others do, as one for browsers
// does. The program of a thread, where all is loaded anew, has a file of its own.
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { rollup } from "rollup";

const manifest = JSON.parse(readFileSync("package.json", "utf8"));
const modules = readdirSync("build", { recursive: true }).filter((name) => name.endsWith(".js"));

for (const name of readdirSync("dist", { recursive: true })) {
  if (/\.js(\.map)?$/.test(name)) rmSync(join("dist", name));
}
await write(entries());
for (const [name, path] of Object.entries(threadPrograms()))
  await write({ [name]: path }, `${name}-`);

async function write(input, prefix = "") {
  const bundle = await rollup({
    input,
    external: (id) => !/^[./]/.test(id),
    plugins: [{ name: "maps-of-tsc", load: withMap }],
    onwarn: ({ code, message }) => {
      // tsc's helper for "using" asks for a top-level `this`.
      if (code !== "THIS_IS_UNDEFINED") throw new Error(message);
    },
  });
  await bundle.write({
    dir: "dist",
    entryFileNames: "[name].js",
    chunkFileNames: ({ isDynamicEntry }) => `${prefix}[name]${isDynamicEntry ? "" : "-shared"}.js`,
    manualChunks: (id, { getModuleInfo }) =>
      needed(input, getModuleInfo).has(id) ? "index" : undefined,
    sourcemap: true,
  });
  await bundle.close();
}

/** The modules that the first entry loads in any case. */
function needed(input, getModuleInfo) {
  const found = new Set([Object.values(input)[0]]);
  for (const id of found) for (const next of getModuleInfo(id)?.importedIds ?? []) found.add(next);
  return found;
}

/** Names to modules, of all targets `./dist/NAME.js` in package.json. */
function entries() {
  const text = JSON.stringify([manifest.exports, manifest.imports]);
  const names = [...text.matchAll(/"\.\/dist\/([^"]+)\.js"/g)].map(([, name]) => name);
  return Object.fromEntries(names.map((name) => [name, resolve("build", `${name}.js`)]));
}

/** Those that a module starts by `new URL("./NAME.js", import.meta.url)`: they lie beside the entries. */
function threadPrograms() {
  const programs = {};
  for (const name of modules) {
    const code = readFileSync(join("build", name), "utf8");
    for (const [, path] of code.matchAll(/new URL\("(\.\/[^"]+)\.js", import\.meta\.url\)/g)) {
      programs[basename(path)] = resolve("build", name, "..", `${path}.js`);
    }
  }
  return programs;
}

function withMap(path) {
  return { code: readFileSync(path, "utf8"), map: readFileSync(`${path}.map`, "utf8") };
}
