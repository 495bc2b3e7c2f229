import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { Dict } from "@partd/core";
import commonjs from "@rollup/plugin-commonjs";
import { nodeResolve } from "@rollup/plugin-node-resolve";
import { type Browser, chromium, type Page } from "playwright-core";
import { type Plugin, rollup } from "rollup";
import { describeReal, realPart } from "tooling/real-part";
import { compressions } from "./compressions.js";
import { realData } from "./data.js";

const real = realPart.chromium();

describeReal(real, "all compressions in Chromium", () => {
  const { json } = realData();
  const content = json.subarray(0, 300_000);
  let server: Server;
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    const files = await bundle();
    server = createServer((request, response) => {
      const path = request.url ?? "/";
      if (path === "/") return void response.setHeader("content-type", "text/html").end("<p>partd");
      if (path === "/content") return void response.end(content);
      const file = files.get(path);
      if (file === undefined) return void response.writeHead(404).end();
      response.setHeader("content-type", "text/javascript").end(file);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    browser = await chromium.launch({ executablePath: real.command as string, args: FLAGS });
    page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  });

  afterAll(async () => {
    await browser?.close();
    await new Promise((resolve) => server?.close(resolve));
  });

  test("each reads what it wrote there, and Node and the browser read each other", async () => {
    const fromNode: Record<string, number[]> = {};
    for (const { name, Decorator } of compressions) {
      const store = new Dict();
      await new Decorator(store).append({ x: content });
      fromNode[name] = [...(await store.get("x"))];
    }
    // As text: this function runs in the page, where the loader of the tests is not.
    const results = (await page.evaluate(`(${IN_PAGE})(${JSON.stringify(fromNode)})`)) as Result[];
    expect(results.map(({ name }) => name)).toEqual(compressions.map(({ name }) => name));
    for (const { name, own, fromNode, damaged, bytes } of results) {
      expect({ name, own, fromNode, damaged }).toEqual({
        name,
        own: true,
        fromNode: true,
        damaged: "ERR_PARTD_CORRUPT",
      });
      const store = new Dict();
      await store.append({ x: Uint8Array.from(bytes) });
      const { Decorator } = compressions.find((one) => one.name === name) as never as Named;
      expect(Buffer.compare(await new Decorator(store).get("x"), content)).toBe(0);
    }
  });

  test("bzip2 leaves the page responsive: its work is done by workers", async () => {
    expect(await page.evaluate(`(${COMPRESS_BZ2})()`)).toBe(true);
    expect(page.workers().map((worker) => worker.url())).toContainEqual(
      expect.stringMatching(/worker-main\.js$/),
    );
  });
});

/** Its declarations do not fit its own module format. */
const commonJs = commonjs as unknown as () => Plugin;

type Named = (typeof compressions)[number];

interface Result {
  readonly name: string;
  readonly own: boolean;
  readonly fromNode: boolean;
  readonly damaged: string;
  readonly bytes: number[];
}

const IN_PAGE = `async (fromNode) => {
  const { Dict, compressions } = await import("/page.js");
  const content = new Uint8Array(await (await fetch("/content")).arrayBuffer());
  const same = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);
  const results = [];
  for (const { name, Decorator } of compressions) {
    const store = new Dict();
    await new Decorator(store).append({ x: content });
    const theirs = new Dict();
    await theirs.append({ x: Uint8Array.from(fromNode[name]) });
    const damaged = new Dict();
    await damaged.append({ x: Uint8Array.of(5, 0, 0, 0, 0, 0, 0, 0, 9, 9, 9, 9, 9) });
    results.push({
      name,
      own: same(await new Decorator(store).get("x"), content),
      fromNode: same(await new Decorator(theirs).get("x"), content),
      damaged: await new Decorator(damaged).get("x").then(() => "", (error) => error.code),
      bytes: [...(await store.get("x"))],
    });
  }
  return results;
}`;

const COMPRESS_BZ2 = `async () => {
  const { compressions } = await import("/page.js");
  const codec = compressions.find(({ name }) => name === "bz2").codec();
  const content = new Uint8Array(await (await fetch("/content")).arrayBuffer());
  const read = await codec.decode(await codec.encode(content));
  return read.every((byte, i) => byte === content[i]);
}`;

/** The page's code and bzip2's worker, in the form that a bundler gives them for a browser. */
async function bundle(): Promise<Map<string, string>> {
  const worker = new URL("../../compress-bz2/dist/worker-main.js", import.meta.url);
  const files = new Map<string, string>();
  for (const [name, input] of [
    ["page", "page"],
    ["worker-main", fileURLToPath(worker)],
  ] as const) {
    const built = await rollup({
      input,
      plugins: [pageSource(), nodeResolve({ browser: true }), commonJs()],
      onwarn: () => {},
    });
    const { output } = await built.generate({ format: "es", entryFileNames: `${name}.js` });
    for (const file of output) if (file.type === "chunk") files.set(`/${file.fileName}`, file.code);
    await built.close();
  }
  return files;
}

function pageSource(): Plugin {
  const importer = fileURLToPath(new URL("./page.js", import.meta.url));
  return {
    name: "page-source",
    resolveId: (id: string) => (id === "page" ? importer : null),
    load: (id: string) => (id === importer ? PAGE : null),
  };
}

const PAGE = `
import { Dict } from "@partd/core";
import { Blosc, bloscCodec } from "@partd/compress-blosc";
import { BZ2, bz2Codec } from "@partd/compress-bz2";
import { LZ4, lz4Codec } from "@partd/compress-lz4";
import { Snappy, snappyCodec } from "@partd/compress-snappy";
import { Gzip, gzipCodec, ZLib, zlibCodec } from "@partd/compress-zlib";
import { Zstd, zstdCodec } from "@partd/compress-zstd";
export { Dict };
export const compressions = [
  { name: "zlib", codec: zlibCodec, Decorator: ZLib },
  { name: "gzip", codec: gzipCodec, Decorator: Gzip },
  { name: "bz2", codec: bz2Codec, Decorator: BZ2 },
  { name: "snappy", codec: snappyCodec, Decorator: Snappy },
  { name: "blosc", codec: bloscCodec, Decorator: Blosc },
  { name: "zstd", codec: zstdCodec, Decorator: Zstd },
  { name: "lz4", codec: lz4Codec, Decorator: LZ4 },
];
`;

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
