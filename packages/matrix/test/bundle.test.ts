import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "@jest/globals";
import commonjs from "@rollup/plugin-commonjs";
import { nodeResolve } from "@rollup/plugin-node-resolve";
import { type Plugin, rollup } from "rollup";

test("a server over stores on the disk and its client run as one file that rollup makes", async () => {
  const folder = mkdtempSync(join(tmpdir(), "partd-bundle-"));
  try {
    const path = join(folder, "program.mjs");
    writeFileSync(path, await bundle(PROGRAM));
    const { stdout, stderr } = spawnSync(process.execPath, [path], {
      cwd: folder,
      encoding: "utf8",
    });
    expect({ stdout, stderr }).toEqual({ stdout: OUTPUT, stderr: "" });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("a top-level await behind which rollup puts the lock's package is an error that says so", async () => {
  const folder = mkdtempSync(join(tmpdir(), "partd-bundle-"));
  try {
    const path = join(folder, "program.mjs");
    writeFileSync(path, await bundle(AWAITING));
    const { stdout } = spawnSync(process.execPath, [path], { cwd: folder, encoding: "utf8" });
    expect(stdout).toMatch(/^ERR_PARTD_IO .*inlineDynamicImports/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("a shuffle whose threads' programs were left out of the bundle is done by one thread", async () => {
  const folder = mkdtempSync(join(tmpdir(), "partd-bundle-"));
  try {
    const path = join(folder, "program.mjs");
    writeFileSync(path, await bundle(SHUFFLING));
    const line = '{"user":"ann","ms":12}\n{"user":"bob","ms":7}\n';
    const records = Math.ceil((66 << 20) / line.length); // So many that there would be threads.
    writeFileSync(join(folder, "events.ndjson"), line.repeat(records));
    const { stdout, stderr } = spawnSync(process.execPath, [path], {
      cwd: folder,
      encoding: "utf8",
    });
    const refused = "ERR_PARTD_VALUE threads: 2";
    expect({ stdout, stderr }).toEqual({
      stdout: [
        `[["ann",${records}],["bob",${records}]] ["ann","bob"] 2 ${2 * records}`,
        ...Array(4).fill(refused),
        "",
      ].join("\n"),
      stderr: "",
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

const SHUFFLING = `
import { readdirSync, writeFileSync } from "node:fs";
import { readNdjson } from "@partd/records";
import { countBy, distinct, join, split } from "@partd/shuffle";

main();

async function main() {
  const events = () => readNdjson("events.ndjson");
  writeFileSync("users.ndjson", '{"user":"ann"}\\n{"user":"bob"}\\n');
  const users = () => readNdjson("users.ndjson");
  const jobs = (options) => [
    () => countBy(events(), { by: "user", ...options }).toArray(),
    () => distinct(events(), { by: "user", ...options }).toArray(),
    () => split(events(), { by: "user", partitions: 2, into: "parts" + (options.threads ?? ""), ...options }),
    async () => {
      let lines = 0;
      for await (const bytes of join(events(), users(), { by: "user", ...options }).bytes()) {
        for (const byte of bytes) if (byte === 10) lines++;
      }
      return lines;
    },
  ];
  const [counts, first, , lines] = await Promise.all(jobs({}).map((job) => job()));
  console.log(
    JSON.stringify(counts),
    JSON.stringify(first.map(({ user }) => user)),
    readdirSync("parts").length,
    lines,
  );
  for (const job of jobs({ threads: 2 })) {
    await job().catch(({ code, message }) => console.log(code, message.slice(0, 10)));
  }
}
`;

const AWAITING = `
import { FileStore } from "@partd/file";
await new FileStore("data").get("x").catch(({ code, message }) => console.log(code, message));
`;

const OUTPUT = 'file 123 tuple("a", "1")\nlog 123 tuple("a", "1")\n';
const PROGRAM = `
import { FileStore } from "@partd/file";
import { LogStore } from "@partd/log";
import { Client, Server } from "@partd/server";
import { tuple } from "@partd/core";

main();

async function main() {
for (const [name, Store] of [["file", FileStore], ["log", LogStore]]) {
  const server = await Server.listen(new Store(name), { address: "ipc://" + name + ".sock" });
  const client = new Client(server.address);
  await client.append({ x: Buffer.from("12") });
  await client.append([["x", Buffer.from("3")], [tuple("a", 1), Buffer.from("4")]]);
  const value = Buffer.from(await client.pop("x")).toString();
  const keys = [];
  for await (const key of client.keys()) keys.push(String(key));
  await client.close();
  await server.close();
  console.log(name, value, keys.join());
}
}
`;

/** Its declarations do not fit its own module format. */
const commonJs = commonjs as unknown as () => Plugin;

/** One file for Node, without anything of `node_modules`. */
async function bundle(source: string): Promise<string> {
  const importer = fileURLToPath(new URL("./program.js", import.meta.url));
  const program: Plugin = {
    name: "program-source",
    resolveId: (id) => (id === "program" ? importer : null),
    load: (id) => (id === importer ? source : null),
  };
  const json: Plugin = {
    name: "json",
    transform: (text, id) => (id.endsWith(".json") ? `export default ${text}` : null),
  };
  const built = await rollup({
    input: "program",
    plugins: [program, json, nodeResolve({ exportConditions: ["node"] }), commonJs()],
    onwarn: () => {},
  });
  const { output } = await built.generate({ format: "es", inlineDynamicImports: true });
  await built.close();
  expect(output).toHaveLength(1);
  expect(output[0].imports.filter((name) => !isBuiltin(name))).toEqual([]);
  return output[0].code;
}
