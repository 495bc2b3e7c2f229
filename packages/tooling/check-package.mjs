#!/usr/bin/env node
// Checks the package in the current directory as it would be published: publint and
// "are the types wrong" over its tarball, its types in a program without the DOM library, the
// direction of its imports, circles among them, and the licences of all that it brings along.
// Leaves the outcome in .results/check.json, and the tarball beside it.
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import ts from "typescript";
import { circles, importGraph } from "./imports.mjs";

// Arrows point one way. Packages that compose import what they like; any other one imports core,
// and what this table adds: a store on a disk builds on disk, a codec may build on a codec.
const COMPOSERS = ["@partd/testing", "@partd/records", "@partd/shuffle", "@partd/cli"];
const ALSO = [
  { importer: /^@partd\/(file|log|s3|shuffle)$/, imported: /^@partd\/disk$/ },
  { importer: /^@partd\/codec-/, imported: /^@partd\/(codec|compress)-/ },
];
const PERMISSIVE =
  /^(MIT|MIT-0|ISC|BSD-2-Clause|BSD-3-Clause|0BSD|Apache-2\.0|Zlib|Unlicense|CC0-1\.0|BlueOak-1\.0\.0|Python-2\.0)$/;

const manifest = read("package.json");
const sources = readdirSync("src", { recursive: true }).filter((name) => /\.[mc]?tsx?$/.test(name));
const imports = sources.flatMap((name) =>
  ts
    .preProcessFile(readFileSync(join("src", name), "utf8"), true, true)
    .importedFiles.map(({ fileName }) => ({ name, specifier: fileName })),
);

const checks = [
  ["publint", checkManifest],
  ["attw", checkTypes],
  ["consumer", checkConsumer],
  ["imports", checkImports],
  ["circles", checkCircles],
  ["licences", checkLicences],
  ["readme", checkReadme],
];
const scratch = mkdtempSync(join(tmpdir(), "partd-check-"));
const results = [];
mkdirSync(".results", { recursive: true });
try {
  const tarball = pack(scratch);
  for (const [name, check] of checks) {
    const faults = await check(tarball);
    results.push({ name, passed: faults.length === 0 });
    console.log(`${faults.length === 0 ? "ok    " : "FAILED"} ${manifest.name}: ${name}`);
    for (const fault of faults) console.log(`       ${fault}`);
  }
  copyFileSync(tarball, ".results/package.tgz");
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
writeFileSync(".results/check.json", `${JSON.stringify(results, null, 2)}\n`);
process.exitCode = results.every(({ passed }) => passed) ? 0 : 1;

function pack(folder) {
  const { status, stdout, stderr } = spawnSync("pnpm", ["pack", "--pack-destination", folder], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`pnpm pack failed\n${stdout}${stderr}`);
  const [name] = readdirSync(folder);
  return join(folder, name);
}

async function checkManifest(tarball) {
  const bytes = readFileSync(tarball);
  const { messages, pkg } = await publint({
    pack: { tarball: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) },
    strict: true,
  });
  const faults = messages.map((message) => formatMessage(message, pkg) ?? message.code);
  for (const field of ["description", "license", "repository", "engines", "files"]) {
    if (!pkg[field]) faults.push(`package.json: no "${field}"`);
  }
  if (pkg.sideEffects !== false) faults.push('package.json: "sideEffects" is not false');
  if (/workspace:/.test(JSON.stringify(pkg.dependencies ?? {}))) faults.push("workspace: remains");
  return faults;
}

function checkTypes(tarball) {
  const main = createRequire(import.meta.url).resolve("@arethetypeswrong/cli/package.json");
  const cli = join(dirname(main), Object.values(read(main).bin)[0]);
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [cli, tarball, "--profile", "esm-only", "--no-color", "--no-emoji"],
    { encoding: "utf8" },
  );
  return status === 0 ? [] : [`${stdout}${stderr}`];
}

// A program without the DOM library that checks the types of its dependencies, too. Only Node's own
// types are there besides, and what the package itself depends on.
function checkConsumer(tarball) {
  const folder = mkdtempSync(join(tmpdir(), "partd-consumer-"));
  try {
    const modules = join(folder, "node_modules");
    const own = join(modules, manifest.name);
    mkdirSync(join(modules, "@types"), { recursive: true });
    mkdirSync(own, { recursive: true });
    spawnSync("tar", ["xzf", tarball, "-C", own, "--strip-components=1"]);
    const node = realpathSync(
      dirname(createRequire(import.meta.url).resolve("@types/node/package.json")),
    );
    symlinkSync(node, join(modules, "@types/node"));
    symlinkSync(join(node, "../../undici-types"), join(modules, "undici-types")); // Of Node's types.
    linkDependencies(modules, process.cwd(), manifest);
    const entries = Object.entries(manifest.exports ?? {})
      .filter(([, target]) => target.types !== undefined)
      .map(([name]) => name.replace(/^\./, manifest.name));
    const program = entries.map((name, i) => `export * as m${i} from "${name}";\n`).join("");
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
    writeFileSync(join(folder, "program.ts"), program);
    const compiled = ts.createProgram([join(folder, "program.ts")], {
      noEmit: true,
      strict: true,
      skipLibCheck: false,
      preserveSymlinks: true,
      lib: ["lib.es2023.d.ts", "lib.esnext.disposable.d.ts"],
      typeRoots: [join(modules, "@types")],
      types: ["node"],
      module: ts.ModuleKind.NodeNext,
      target: ts.ScriptTarget.ES2022,
    });
    // TypeScript's and Node's own types are the same for each package: to check them, too, takes half of the time.
    const given = ["@types/node", "undici-types"].map((name) => join(modules, name, "/"));
    const files = compiled
      .getSourceFiles()
      .filter((file) => !compiled.isSourceFileDefaultLibrary(file))
      .filter(({ fileName }) => !given.some((path) => fileName.startsWith(path)));
    const faults = [
      ...compiled.getOptionsDiagnostics(),
      ...compiled.getGlobalDiagnostics(),
      ...files.flatMap((file) => [
        ...compiled.getSyntacticDiagnostics(file),
        ...compiled.getSemanticDiagnostics(file),
      ]),
    ];
    return faults.map((fault) => ts.formatDiagnostic(fault, ts.createCompilerHost({})).trim());
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What a package needs and what that needs in turn, side by side, as npm lays it out. */
function linkDependencies(modules, folder, { dependencies = {}, peerDependencies = {} }) {
  for (const name of Object.keys({ ...dependencies, ...peerDependencies })) {
    const path = locate(folder, name);
    if (path === undefined || existsSync(join(modules, name))) continue;
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(dirname(path), join(modules, name));
    linkDependencies(modules, realpathSync(dirname(path)), read(path));
  }
}

function checkImports() {
  const faults = [];
  for (const { name, specifier } of imports) {
    if (manifest.name === "@partd/core" && /^node:/.test(specifier)) {
      faults.push(`src/${name} imports ${specifier}: core runs in a browser, too`);
    }
    const sibling = /^@partd\/[^/]+/.exec(specifier)?.[0];
    if (sibling && !mayImport(manifest.name, sibling)) {
      faults.push(
        `src/${name} imports ${sibling}: stores and codecs build on core alone (on a disk: disk; a codec: another codec)`,
      );
    }
    const owner = /^(?:@[^/]+\/)?[^/]+/.exec(specifier)?.[0];
    const declared = { ...manifest.dependencies, ...manifest.peerDependencies };
    if (!/^(\.|#|node:)/.test(specifier) && owner !== manifest.name && !declared[owner]) {
      faults.push(`src/${name} imports ${owner}, which package.json does not name`);
    }
  }
  return faults;
}

function checkCircles() {
  return circles(importGraph("src")).map((files) => `a circle of imports: ${files.join(" > ")}`);
}

function mayImport(importer, imported) {
  if (imported === importer) return true;
  if (importer === "@partd/core") return false;
  if (imported === "@partd/core" || COMPOSERS.includes(importer)) return true;
  return ALSO.some((rule) => rule.importer.test(importer) && rule.imported.test(imported));
}

function checkLicences() {
  const faults = [];
  const seen = new Set();
  visit(process.cwd(), manifest);
  return faults;

  function visit(folder, { dependencies = {}, optionalDependencies = {} }) {
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      const path = locate(folder, name);
      if (path === undefined) {
        if (!optionalDependencies[name]) faults.push(`${name} is not installed`);
        continue;
      }
      if (seen.has(path)) continue;
      seen.add(path);
      const found = read(path);
      const licence = found.license?.type ?? found.license ?? found.licenses?.[0]?.type ?? "none";
      if (!permissive(licence))
        faults.push(`${name}@${found.version} has the licence "${licence}"`);
      visit(dirname(path), found);
    }
  }
}

function permissive(licence) {
  const choices = licence.replace(/[()]/g, "").split(/ OR /i);
  return choices.some((choice) =>
    choice.split(/ AND /i).every((one) => PERMISSIVE.test(one.trim())),
  );
}

// A package may hide its package.json from require(), so node_modules is walked by hand.
function locate(folder, name) {
  for (const root of createRequire(join(folder, "package.json")).resolve.paths(name) ?? []) {
    try {
      const path = join(root, name, "package.json");
      readFileSync(path);
      return createRequire(path).resolve("./package.json");
    } catch {
      // not in this folder
    }
  }
  return undefined;
}

function checkReadme() {
  const readme = readFileSync("README.md", "utf8");
  return readme.startsWith(`# ${manifest.name}\n`)
    ? []
    : [`README.md does not begin with its name`];
}

function read(path) {
  return JSON.parse(readFileSync(path, "utf8"));
}
