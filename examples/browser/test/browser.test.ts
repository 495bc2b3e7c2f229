import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, test } from "@jest/globals";
import { Json } from "@partd/codec-json";
import { LogStore } from "@partd/log";
import { Client } from "@partd/server";
import { chromium, type Page } from "playwright-core";
import { describeReal, realPart } from "tooling/real-part";

const main = fileURLToPath(new URL("../dist/main.js", import.meta.url));
const real = realPart.chromium();

describeReal(real, "Chromium", () => {
  test("what one page appends, another one shows, and Node reads", async () => {
    const directory = await mkdtemp(join(tmpdir(), "partd-browser-"));
    const child = spawn(process.execPath, [main, directory], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const ended = once(child, "exit");
    const browser = await chromium.launch({
      executablePath: real.command as string,
      args: [
        ..."--headless --no-sandbox --disable-gpu --disable-quic --no-first-run".split(" "),
        ..."--disable-background-networking --disable-component-update --disable-sync".split(" "),
      ],
    });
    try {
      const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
      const [, origin = "", address = ""] =
        /^open (\S+) .* is (\S+)$/.exec((await lines.next()).value) ?? [];
      const faults: string[] = [];
      const [one, other] = [await open(), await open()];
      await append(one, "milk");
      await other.getByText("milk").waitFor({ timeout: 60_000 });
      await append(other, "<b>bread</b>");
      await one.getByText("<b>bread</b>").waitFor({ timeout: 60_000 });

      await using notes = new Json<{ text: string }>(new Client(address));
      const texts = (await notes.get("notes")).map(({ text }) => text);
      expect(texts).toEqual(["milk", "<b>bread</b>"]);
      expect(faults).toEqual([]);

      async function open(): Promise<Page> {
        const page = await browser.newPage();
        page.on("pageerror", (error) => faults.push(error.message));
        await page.goto(origin);
        return page;
      }
    } finally {
      await browser.close();
      child.kill("SIGTERM");
    }
    expect(await ended).toEqual([0, null]);
    await using kept = new Json<{ text: string }>(new LogStore(directory));
    expect(await kept.get("notes")).toHaveLength(2);
    await rm(directory, { recursive: true });
  });
});

async function append(page: Page, text: string): Promise<void> {
  await page.locator("input").fill(text);
  await page.locator("button").click();
}
