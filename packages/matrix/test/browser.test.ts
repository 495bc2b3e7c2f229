import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { nodeResolve } from "@rollup/plugin-node-resolve";
import { type Browser, chromium, type Page } from "playwright-core";
import { type Plugin, rollup } from "rollup";
import { describeReal, realPart } from "tooling/real-part";

const real = realPart.chromium();

describeReal(real, "the codecs in Chromium", () => {
  let server: Server;
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    const files = new Map<string, string>();
    for (const [name, source] of Object.entries(SOURCES))
      files.set(`/${name}.js`, await bundle(source));
    server = createServer((request, response) => {
      const path = request.url ?? "/";
      if (path === "/") return void response.setHeader("content-type", "text/html").end("<p>partd");
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

  test("all but V8 read there what they wrote there", async () => {
    // As text: this runs in the page, where the loader of the tests is not.
    const results = await page.evaluate(
      `import("/codecs.js").then(({ roundTrips }) => roundTrips())`,
    );
    expect(results).toEqual({
      Json: '[1,{"a":"ü"}]',
      MsgPack: "1152921504606846976 ü 0,255",
      Pickle: "1208925819614629174706176 true 1970-01-01T00:00:00.000Z",
      NdArray: "1.5,2.5 <M8[ns]",
      Arrow: "JFK,LAX 2",
      Text: "Grüße 🌍",
      Lines: "one|two",
      damaged: "ERR_PARTD_CORRUPT",
    });
  });

  test("V8 says at import that it needs Node, and what to use", async () => {
    const message = await page.evaluate(
      `import("/v8.js").then(() => "", (error) => error.message)`,
    );
    expect(message).toContain("@partd/codec-v8 needs node:v8");
    expect(message).toContain("@partd/codec-msgpack");
  });
});

const SOURCES = {
  v8: `export { V8 } from "@partd/codec-v8";`,
  codecs: `
import { Arrow } from "@partd/codec-arrow";
import { Json } from "@partd/codec-json";
import { MsgPack } from "@partd/codec-msgpack";
import { NdArray, ndarray } from "@partd/codec-ndarray";
import { Pickle, PyTuple, pyTuple } from "@partd/codec-pickle";
import { Lines, Text } from "@partd/codec-text";
import { Dict } from "@partd/core";
import { tableFromArrays } from "apache-arrow";

async function appended(Store, ...values) {
  const store = new Store(new Dict());
  for (const value of values) await store.append({ x: value });
  return store.get("x");
}

export async function roundTrips() {
  const [id, text, bytes] = await appended(MsgPack, [2n ** 60n, "ü"], [Uint8Array.of(0, 255)]);
  const [int, tuple, date] = await appended(Pickle, [2n ** 80n, pyTuple(1)], [new Date(0)]);
  const times = await appended(NdArray, ndarray("datetime64[ns]", BigInt64Array.of(1n)));
  const table = await appended(Arrow, tableFromArrays({ to: ["JFK"] }), tableFromArrays({ to: ["LAX"] }));
  const damaged = new Dict();
  await damaged.append({ x: Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0, 0x91, 0xc1) });
  return {
    Json: JSON.stringify(await appended(Json, [1], [{ a: "ü" }])),
    MsgPack: [id, text, bytes].join(" "),
    Pickle: [int, tuple instanceof PyTuple, date.toISOString()].join(" "),
    NdArray: (await appended(NdArray, Float64Array.of(1.5), Float64Array.of(2.5))) + " " + times.dtype,
    Arrow: [...table.getChild("to")] + " " + table.numRows,
    Text: await appended(Text, "Grüße ", "🌍"),
    Lines: (await appended(Lines, ["one"], ["two"])).join("|"),
    damaged: await new MsgPack(damaged).get("x").catch((error) => error.code),
  };
}`,
};

/** As a bundler gives it for a browser, by the packages' own export conditions. */
async function bundle(source: string): Promise<string> {
  const importer = fileURLToPath(new URL("./page.js", import.meta.url));
  const page: Plugin = {
    name: "page-source",
    resolveId: (id) => (id === "page" ? importer : null),
    load: (id) => (id === importer ? source : null),
  };
  const built = await rollup({
    input: "page",
    plugins: [page, nodeResolve({ browser: true, exportConditions: ["browser"] })],
    onwarn: () => {},
  });
  const { output } = await built.generate({ format: "es", inlineDynamicImports: true });
  await built.close();
  return output[0].code;
}

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
