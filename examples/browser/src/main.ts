// Serves a store to pages, and the page itself: `node dist/main.js [DIRECTORY]`.
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Dict } from "@partd/core";
import { LogStore } from "@partd/log";
import { Server } from "@partd/server";

const [directory] = process.argv.slice(2);
await using store = directory === undefined ? new Dict() : new LogStore(directory);

const site = createServer(async ({ url = "/" }, response) => {
  try {
    const [path, type] = fileOf(new URL(url, "http://localhost").pathname);
    const text = await readFile(path, "utf8");
    response.writeHead(200, { "Content-Type": type }).end(text.replace("SERVER", server.address));
  } catch {
    response.writeHead(404).end();
  }
});
await once(site.listen(0, "127.0.0.1"), "listening");
const origin = `http://127.0.0.1:${(site.address() as AddressInfo).port}`;

// Pages of other origins are kept out.
await using server = await Server.listen(store, { origins: [origin] });
console.log(`open ${origin} in two windows; the server is ${server.address}`);

await Promise.race(["SIGINT", "SIGTERM"].map((name) => once(process, name)));
site.close();
site.closeAllConnections();

/** The page, its script, and our packages, each built file by itself; a bundler would make one of them. */
function fileOf(path: string): readonly [path: string, type: string] {
  if (path === "/") return [own("../page.html"), "text/html"];
  if (path === "/page.js") return [own("page.js"), "text/javascript"];
  const [, name, file] = /^\/modules\/(@partd\/[a-z-]+)\/(dist\/.*)$/.exec(path) ?? [];
  if (!name || !file) throw new Error(`There is no ${path}.`);
  const manifest = createRequire(import.meta.url).resolve(`${name}/package.json`);
  return [join(dirname(manifest), file), "text/javascript"];
}

function own(path: string): string {
  return fileURLToPath(new URL(path, import.meta.url));
}
