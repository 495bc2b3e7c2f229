#!/usr/bin/env node
// Checks the package in the current directory, or with `--all` each one that has a script "check", as
// it would be published: publint and "are the types wrong" over its tarball, its types in a program
// without the DOM library, the direction of its imports, circles among them, and the licences of all
// that it brings along. Leaves the outcome in .results/check.json, and the tarball beside it. One process
// for all of them reads the types of Node once, and takes a quarter of the time of one for each.
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
import { fileURLToPath, pathToFileURL } from "node:url";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import ts from "typescript";
import { circles, importGraph } from "./imports.mjs";
import { packageFolders } from "./totals.mjs";

// Arrows point one way. Packages that compose import what they like; any other one imports core,
// and what this table adds: a store on a disk builds on disk, a codec may build on a codec.
const COMPOSERS = ["@partd/testing", "@partd/records", "@partd/shuffle", "@partd/cli"];
const ALSO = [
  { importer: /^@partd\/(file|log|s3|shuffle)$/, imported: /^@partd\/disk$/ },
  { importer: /^@partd\/codec-/, imported: /^@partd\/(codec|compress)-/ },
];
const PERMISSIVE =
  /^(MIT|MIT-0|ISC|BSD-2-Clause|BSD-3-Clause|0BSD|Apache-2\.0|Zlib|Unlicense|CC0-1\.0|BlueOak-1\.0\.0|Python-2\.0)$/;

// "Are the types wrong": what its command does, without a process of its own.
const command = createRequire(import.meta.url).resolve("@arethetypeswrong/cli/package.json");
const attw = await import(pathToFileURL(join(dirname(command), "../core/dist/index.js")));
const { getExitCode } = await import("@arethetypeswrong/cli/internal/getExitCode");
const render = await import("@arethetypeswrong/cli/internal/render");

/** Files of types that each program begins with, parsed. */
const givenFiles = new Map();
const checks = [
  ["publint", checkManifest],
  ["attw", checkTypes],
  ["consumer", checkConsumer],
  ["imports", checkImports],
  ["circles", checkCircles],
  ["licences", checkLicences],
  ["readme", checkReadme],
];
const root = fileURLToPath(new URL("../..", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "partd-check-"));
try {
  const folders = process.argv.includes("--all") ? checkedPackages() : [process.cwd()];
  pack(folders.map((folder) => read(join(folder, "package.json")).name));
  for (const folder of folders) {
    process.chdir(folder);
    const isSound = await passes().catch((error) => console.error(folder, error));
    if (!isSound) process.exitCode = 1;
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

function checkedPackages() {
  return packageFolders(root)
    .map((folder) => join(root, folder))
    .filter((folder) => read(join(folder, "package.json")).scripts?.check !== undefined);
}

async function passes() {
  const manifest = read("package.json");
  const results = [];
  mkdirSync(".results", { recursive: true });
  const tarball = ".results/package.tgz";
  copyFileSync(packed(manifest), tarball);
  for (const [name, check] of checks) {
    const faults = await check(manifest, tarball);
    results.push({ name, passed: faults.length === 0 });
    console.log(`${faults.length === 0 ? "ok    " : "FAILED"} ${manifest.name}: ${name}`);
    for (const fault of faults) console.log(`       ${fault}`);
  }
  writeFileSync(".results/check.json", `${JSON.stringify(results, null, 2)}\n`);
  return results.every(({ passed }) => passed);
}

/** Makes the tarballs of all by one process, which needs a second to begin. */
function pack(names) {
  const filters = names.map((name) => `--filter=${name}`);
  const { status, stdout, stderr } = spawnSync(
    "pnpm",
    ["--recursive", ...filters, "pack", "--pack-destination", scratch],
    { cwd: root, encoding: "utf8" },
  );
  if (status !== 0) throw new Error(`pnpm pack failed\n${stdout}${stderr}`);
}

function packed({ name, version }) {
  return join(scratch, `${name.replace("@", "").replace("/", "-")}-${version}.tgz`);
}

async function checkManifest(_, tarball) {
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

async function checkTypes(_, tarball) {
  const found = await attw.checkPackage(
    attw.createPackageFromTarballData(new Uint8Array(readFileSync(tarball))),
  );
  // What its profile "esm-only" leaves out: resolutions that do not know ES modules.
  const options = { ignoreRules: [], ignoreResolutions: ["node10", "node16-cjs"], format: "ascii" };
  if (found.types && getExitCode(found, options) === 0) return [];
  return [found.types ? await render.typed(found, options) : render.untyped(found)];
}

// A program without the DOM library that checks the types of its dependencies, too. Only Node's own
// types are there besides, and what the package itself depends on.
function checkConsumer(manifest, tarball) {
  const folder = join(scratch, "consumer");
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
    const options = {
      noEmit: true,
      strict: true,
      skipLibCheck: false,
      preserveSymlinks: true,
      lib: ["lib.es2023.d.ts", "lib.esnext.disposable.d.ts"],
      typeRoots: [join(modules, "@types")],
      types: ["node"],
      module: ts.ModuleKind.NodeNext,
      target: ts.ScriptTarget.ES2022,
    };
    // TypeScript's and Node's own types are the same for each package: they are parsed once, and not checked.
    const given = ["@types/node", "undici-types"].map((name) => join(modules, name, "/"));
    const host = ts.createCompilerHost(options);
    const { getSourceFile } = host;
    host.getSourceFile = (path, ...rest) => {
      const isGiven = [dirname(host.getDefaultLibFileName(options)), ...given].some((start) =>
        path.startsWith(start),
      );
      if (!isGiven) return getSourceFile.call(host, path, ...rest);
      if (!givenFiles.has(path)) givenFiles.set(path, getSourceFile.call(host, path, ...rest));
      return givenFiles.get(path);
    };
    const compiled = ts.createProgram([join(folder, "program.ts")], options, host);
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

function checkImports(manifest) {
  const faults = [];
  const sources = readdirSync("src", { recursive: true }).filter((name) =>
    /\.[mc]?tsx?$/.test(name),
  );
  const imports = sources.flatMap((name) =>
    ts
      .preProcessFile(readFileSync(join("src", name), "utf8"), true, true)
      .importedFiles.map(({ fileName }) => ({ name, specifier: fileName })),
  );
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

function checkLicences(manifest) {
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

function checkReadme(manifest) {
  const readme = readFileSync("README.md", "utf8");
  return readme.startsWith(`# ${manifest.name}\n`)
    ? []
    : [`README.md does not begin with its name`];
}

function read(path) {
  return JSON.parse(readFileSync(path, "utf8"));
}
