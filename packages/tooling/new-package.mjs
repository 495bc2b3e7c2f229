#!/usr/bin/env node
// Makes the folder of a new package, or adds what an existing one lacks. It writes no
// file that is already there.
//
//   npm run new-package -- NAME "One sentence." [DEPENDENCY...] [--node]
//
// A dependency is another package of ours (core, testing ...) or one of the registry
// with its version range (ws@^8.18.0); after --dev come those that only tests use.
// --node says that the sources use Node's own modules.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const packages = fileURLToPath(new URL("..", import.meta.url));
const flags = new Set(process.argv.filter((word) => word === "--node"));
const [name, description, ...words] = process.argv.slice(2).filter((w) => !flags.has(w));
if (name === undefined || description === undefined || !/^[a-z0-9-]+$/.test(name)) {
  console.error('usage: new-package NAME "One sentence." [DEPENDENCY...] [--dev DEPENDENCY...]');
  process.exit(1);
}

const cut = words.indexOf("--dev") < 0 ? words.length : words.indexOf("--dev");
const runtime = words.slice(0, cut);
const dev = words.slice(cut + 1);
const ours = (word) => !word.includes("@");
const full = (word) =>
  ours(word)
    ? [`@partd/${word}`, "workspace:^"]
    : [word.slice(0, word.lastIndexOf("@")), word.slice(word.lastIndexOf("@") + 1)];
const dependencies = (list) => Object.fromEntries(list.map(full).sort());

const checked = {
  extends: "../../tooling/tsconfig.test.base.json",
  references: [{ path: ".." }],
};
const title = `@partd/${name}`;
const folder = join(packages, name);
write("package.json", json(manifest()));
write("tsconfig.json", json(compiled()));
write("test/tsconfig.json", json(checked));
write("jest.config.mjs", 'export default { preset: "tooling" };\n');
write("README.md", `# ${title}\n\n${description}\n\n\`\`\`sh\nnpm install ${title}\n\`\`\`\n`);
write("src/index.ts", "export {};\n");
adopt();
const written = ["package.json", "tsconfig.json", "test/tsconfig.json"];
execFileSync(
  join(packages, "../node_modules/.bin/biome"),
  ["format", "--write", ...written.map((file) => join(folder, file))],
  { stdio: "inherit" },
);

function manifest() {
  return {
    name: title,
    version: "0.1.0",
    description,
    keywords: ["partd", "shuffle", "append", "key-value", "out-of-core"],
    license: "MIT",
    author: "partd contributors",
    homepage: `https://github.com/partd/partd-ts/tree/main/packages/${name}#readme`,
    bugs: "https://github.com/partd/partd-ts/issues",
    repository: {
      type: "git",
      url: "git+https://github.com/partd/partd-ts.git",
      directory: `packages/${name}`,
    },
    type: "module",
    sideEffects: false,
    exports: {
      ".": { types: "./dist/index.d.ts", default: "./dist/index.js" },
      "./package.json": "./package.json",
    },
    files: ["dist", "src"],
    engines: { node: ">=20" },
    publishConfig: { access: "public", provenance: true },
    scripts: {
      build: "tsc -b && bundle-package",
      test: "run-jest",
      lint: "biome check --error-on-warnings .",
      typecheck: "tsc -p test",
      check: "check-package",
    },
    dependencies: runtime.length > 0 ? dependencies(runtime) : undefined,
    devDependencies: dev.length > 0 ? dependencies(dev) : undefined,
  };
}

function compiled() {
  return {
    extends: "../tooling/tsconfig.library.json",
    compilerOptions: flags.has("--node") ? { types: ["node"] } : undefined,
    references: runtime.filter(ours).map((word) => ({ path: `../${word}` })),
  };
}

// The snippets of every README run in docs-test, which therefore depends on all packages.
function adopt() {
  const path = join(packages, "docs-test", "package.json");
  const docs = JSON.parse(readFileSync(path, "utf8"));
  docs.devDependencies = Object.fromEntries(
    Object.entries({ ...docs.devDependencies, [title]: "workspace:^" }).sort(),
  );
  writeFileSync(path, json(docs));
}

function write(file, text) {
  const path = join(folder, file);
  if (existsSync(path)) return;
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, text);
  console.log(`packages/${name}/${file}`);
}

function json(value) {
  return `${JSON.stringify(value, null, 2)}\n`;
}
