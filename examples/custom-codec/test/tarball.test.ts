import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "@jest/globals";

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
let folder = "";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "partd-custom-codec-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("installed from its tarball, it passes the contract in an empty project", async () => {
  const tarballs = await Promise.all([
    pack("packages/core"),
    pack("packages/testing"),
    pack("examples/custom-codec"),
    // What testing needs, from here as well: no test depends on a registry.
    pack("node_modules/fast-check"),
    pack("node_modules/fast-check/node_modules/pure-rand"),
  ]);
  await writeFile(join(folder, "package.json"), '{ "type": "module", "private": true }');
  await writeFile(join(folder, "main.js"), MAIN);
  const install = ["install", "--offline", "--no-audit", "--no-fund", "--legacy-peer-deps"];
  await run("npm", [...install, ...tarballs], { cwd: folder });
  const { stdout } = await run(process.execPath, ["main.js"], { cwd: folder });
  expect(stdout).toMatch(/^[1-9]\d* cases passed, "to and fro"\n$/);
});

async function pack(path: string): Promise<string> {
  const into = join(folder, "tarballs", path);
  await mkdir(into, { recursive: true });
  const pnpm = join(ROOT, "node_modules/.bin/pnpm");
  await run(pnpm, ["pack", "--pack-destination", into], { cwd: await real(path) });
  return join(into, (await readdir(into))[0] as string);
}

/** A package of the registry has its own dependencies beside it, behind a link. */
async function real(path: string): Promise<string> {
  const nested = path.split("/node_modules/");
  if (nested.length === 1) return realpath(join(ROOT, path));
  return realpath(join(await realpath(join(ROOT, nested[0] as string)), "..", nested[1] as string));
}

const MAIN = `
import { Dict } from "@partd/core";
import { codecContract } from "@partd/testing";
import { Brotli, brotliCodec } from "partd-compress-brotli";

const cases = codecContract(brotliCodec(), [new TextEncoder().encode("to and fro"), new Uint8Array()], {
  manyFrames: 100,
});
for (const { run } of cases) await run();
const p = new Brotli(new Dict());
await p.append({ x: new TextEncoder().encode("to and ") });
await p.append({ x: new TextEncoder().encode("fro") });
console.log(cases.length + " cases passed, " + JSON.stringify(new TextDecoder().decode(await p.get("x"))));
`;
