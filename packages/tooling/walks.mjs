#!/usr/bin/env node
// Counts the files and functions that one append passes on its way, with V8's precise coverage:
// through codec, compression and buffer to a log on disk; and from a client to a server's store.
//
//   npm run build && node packages/tooling/walks.mjs [ROOT] [--list]
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { Session } from "node:inspector/promises";
import { SourceMap } from "node:module";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const list = process.argv.includes("--list");
const [given] = process.argv.slice(2).filter((word) => word !== "--list");
const root = given ?? fileURLToPath(new URL("../..", import.meta.url));
const load = (name) => import(pathToFileURL(join(root, "packages", name, "dist/index.js")).href);
const { Dict } = await load("core");
const { LogStore } = await load("log");
const { BufferStore } = await load("buffer");
const { Json } = await load("codec-json");
const { Snappy } = await load("compress-snappy");
const { Server, Client } = await load("server");

const folder = mkdtempSync(join(tmpdir(), "partd-walk-"));
const session = new Session();
session.connect();
try {
  const log = new LogStore(join(folder, "log"));
  const tower = new Json(new Snappy(new BufferStore(new Dict(), log)));
  await report("append to disk", tower, async () => {
    await tower.append({ x: [1, 2, 3], y: [4] });
    await tower.flush();
  });

  const server = await Server.listen(new Dict(), { address: `ipc://${join(folder, "s")}` });
  const client = new Client(server.address);
  await report("client to server to store", client, () =>
    client.append({ x: new Uint8Array([1, 2, 3]), y: new Uint8Array([4]) }),
  );
  await server.close();
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** The second run is counted: the first opens what has to be opened. */
async function report(title, store, walk) {
  await walk();
  await session.post("Profiler.enable");
  await session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: false });
  await walk();
  const { result } = await session.post("Profiler.takePreciseCoverage");
  await session.post("Profiler.stopPreciseCoverage");
  await store.close();
  const ours = new Map();
  for (const { url, functions } of result) {
    if (!/\/packages\/[^/]+\/dist\//.test(url)) continue;
    const sourceOf = sources(fileURLToPath(url));
    for (const { functionName, ranges } of functions) {
      if (functionName === "" || ranges[0].count === 0) continue;
      const source = sourceOf(ranges[0].startOffset);
      ours.set(source, [...(ours.get(source) ?? []), functionName]);
    }
  }
  const functions = [...ours.values()].reduce((sum, names) => sum + names.length, 0);
  console.log(`${title}: ${ours.size} files, ${functions} functions`);
  if (list) for (const [file, names] of ours) console.log(`  ${file}: ${names.join(" ")}`);
}

/** What tells which file of `src` the code at an offset of a bundle comes from. */
function sources(path) {
  const code = readFileSync(path, "utf8");
  const map = new SourceMap(JSON.parse(readFileSync(`${path}.map`, "utf8")));
  return (offset) => {
    const before = code.slice(0, offset);
    const line = before.split("\n").length - 1;
    const column = offset - before.lastIndexOf("\n") - 1;
    const { originalSource } = map.findEntry(line, column);
    return relative(join(root, "packages"), resolve(path, "..", originalSource));
  };
}
