import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { BufferStore } from "@partd/buffer";
import { Dict } from "@partd/core";
import { FileStore } from "@partd/file";
import { Client, Server } from "@partd/server";
import { type Browser, chromium, type Page } from "playwright-core";
import { describeReal, realPart } from "tooling/real-part";
import { type ModuleServer, serveModules } from "./serve-modules.js";

const real = realPart.chromium();

describeReal(real, "Chromium", () => {
  let browser: Browser;
  let modules: ModuleServer;

  beforeAll(async () => {
    browser = await chromium.launch({
      executablePath: real.command as string,
      args: [
        ..."--headless --no-sandbox --disable-gpu --disable-quic --no-first-run".split(" "),
        ..."--disable-background-networking --disable-component-update --disable-sync".split(" "),
      ],
    });
    modules = await serveModules();
  });

  afterAll(async () => {
    await browser?.close();
    await modules?.close();
  });

  test("the Client in a page appends and gets, also Json(Snappy(Client))", async () => {
    await using server = await Server.listen(new Dict(), { origins: [modules.origin] });
    const page = await browser.newPage();
    const errors = watch(page);
    await page.goto(`${modules.origin}/`);
    const answer = await page.evaluate(async (address) => {
      const { Client } = await import("@partd/server/client" as string);
      const { Json } = await import("@partd/codec-json" as string);
      const { Snappy } = await import("@partd/compress-snappy" as string);
      const client = new Client(address);
      await client.append({ x: Uint8Array.of(1, 2) });
      await client.append({ x: Uint8Array.of(3), large: new Uint8Array(5_000_000).fill(7) });
      const bytes: number[] = [...(await client.get("x"))];
      let streamed = 0;
      for await (const piece of client.stream("large")) streamed += piece.byteLength;
      const lists = new Json(new Snappy(client));
      for (let i = 0; i < 100; i++) await lists.append({ list: [{ i, text: "é".repeat(50) }] });
      const list = await lists.get("list");
      await client.close();
      return { bytes, streamed, length: list.length, last: list.at(-1) };
    }, server.address);
    expect(answer).toEqual({
      bytes: [1, 2, 3],
      streamed: 5_000_000,
      length: 100,
      last: { i: 99, text: "é".repeat(50) },
    });
    await using client = new Client(server.address);
    expect(await client.get("x")).toEqual(Uint8Array.of(1, 2, 3));
    expect(errors).toEqual([]);
    await page.close();
  });

  test("a page of another origin is kept out", async () => {
    await using server = await Server.listen(new Dict());
    const page = await browser.newPage();
    await page.goto(`${modules.origin}/`);
    const code = await page.evaluate(async (address) => {
      const { Client } = await import("@partd/server/client" as string);
      const client = new Client(address, { timeout: 600_000 });
      return client.get("x").catch((error: { code: string }) => error.code);
    }, server.address);
    expect(code).toBe("ERR_PARTD_AUTH"); // At once, not after the timeout.
    expect(server.stats().totals).toMatchObject({ connections: 0 });
    await page.close();
  });

  test("the dashboard shows rates, memory and the largest keys, in light and dark", async () => {
    const store = new BufferStore(new Dict(), new FileStore(), { availableMemory: 4e6 });
    const token = "secret";
    await using server = await Server.listen(store, { dashboard: true, token });
    await using client = new Client(server.address, { token });
    const page = await browser.newPage({ viewport: { width: 1100, height: 900 } });
    const errors = watch(page);
    await page.goto(server.address.replace("ws://", `http://anyone:${token}@`));
    // A skewed shuffle: while it goes on, the page follows.
    for (let second = 0; second < 6; second++) {
      for (let i = 0; i < 60 * (1 + (second % 3)); i++) {
        await client.append(
          Array.from({ length: 60 }, (_, k) => {
            const size = Math.ceil(6_000 / (k + 1) ** 1.2);
            return [`airport ${AIRPORTS[k % AIRPORTS.length]}${k}`, new Uint8Array(size)] as const;
          }),
        );
      }
      await client.get("airport ATL0");
      const before = Math.floor(server.stats().uptime);
      await page.waitForFunction(
        (uptime) => Number(document.querySelector("#state")?.textContent?.match(/\d+/)) > uptime,
        before,
      );
    }
    const largest = await page.locator("#largest tr").first().textContent();
    expect(largest).toContain("airport ATL0");
    expect(await page.locator("#skew").textContent()).toMatch(/^The largest key holds [\d.]+ %/);
    expect(await page.locator("#tiles").textContent()).toMatch(/Connections\s*1/);
    expect(await page.locator("#tiles").textContent()).toMatch(/Keys\s*60/);
    expect(await page.locator("#tiles").textContent()).toMatch(/Spilled\s*[\d.]+ MB/);
    expect(await page.locator("path.append").getAttribute("d")).toMatch(/^M.*L/);
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await page.emulateMedia({ colorScheme: "light" });
    const light = await background();
    const { PARTD_SCREENSHOT } = process.env;
    if (PARTD_SCREENSHOT) await page.screenshot({ path: PARTD_SCREENSHOT });
    await page.emulateMedia({ colorScheme: "dark" });
    expect(await background()).not.toBe(light);
    if (PARTD_SCREENSHOT) {
      await page.screenshot({ path: PARTD_SCREENSHOT.replace(".png", "-dark.png") });
    }
    expect(errors).toEqual([]); // Also: its own policy lets it do all of that.
    await page.close();
  });
});

/** What a page complains of. */
function watch(page: Page): string[] {
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(message.text());
  });
  return errors;
}

const AIRPORTS = ["ATL", "ORD", "DFW", "LAX", "JFK", "DEN", "SFO", "SEA"];
