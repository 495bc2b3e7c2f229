import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Our packages as a browser loads them: each built file by itself, found by an import map. */
export interface ModuleServer {
  readonly origin: string;
  close(): Promise<void>;
}

const packages = fileURLToPath(new URL("../..", import.meta.url));
const IMPORTS: Readonly<Record<string, string>> = {
  "@partd/core": "/core/dist/index.js",
  "@partd/core/author": "/core/dist/author.js",
  "@partd/core/memory": "/core/dist/memory.js",
  "@partd/server/client": "/server/dist/browser.js",
  "@partd/codec-json": "/codec-json/dist/index.js",
  "@partd/compress-snappy": "/compress-snappy/dist/index.js",
  "#engine": "/compress-snappy/dist/engine.js",
  snappyjs: "/snappyjs",
};

export async function serveModules(): Promise<ModuleServer> {
  const server = createServer(async (request, response) => {
    const url = request.url ?? "/";
    try {
      const [type, text] = url === "/" ? (["text/html", page()] as const) : await moduleAt(url);
      response.writeHead(200, { "Content-Type": type }).end(text);
    } catch {
      response.writeHead(url === "/favicon.ico" ? 204 : 404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function page(): string {
  const map = JSON.stringify({ imports: IMPORTS });
  return `<!doctype html><script type="importmap">${map}</script><title>test</title>`;
}

async function moduleAt(url: string): Promise<readonly [string, string]> {
  if (url === "/snappyjs") return ["text/javascript", await snappyjs()];
  return ["text/javascript", await readFile(join(packages, url), "utf8")];
}

/** A CommonJS package, as what a bundler would make of it. */
async function snappyjs(): Promise<string> {
  const path = createRequire(join(packages, "compress-snappy/package.json")).resolve("snappyjs");
  const files = ["snappy_compressor", "snappy_decompressor", "index"];
  const texts = await Promise.all(
    files.map((name) => readFile(join(dirname(path), `${name}.js`), "utf8")),
  );
  const modules = files.map(
    (name, i) => `${JSON.stringify(name)}: (exports, require, module) => {${texts[i]}\n}`,
  );
  return `const process = { versions: {} };
    const modules = {${modules.join(",")}};
    const load = (name) => {
      const module = { exports: {} };
      modules[name](module.exports, (wanted) => load(wanted.replace("./", "")), module);
      return module.exports;
    };
    const all = load("index");
    export default all;
    export const { compress, uncompress } = all;`;
}
