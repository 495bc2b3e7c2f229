import { cpSync, existsSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { LogStore } from "@partd/log";
import { appendUntilMoved } from "@partd/testing";
import { bytes, directories, filesOf, text } from "./directories.js";

const { next } = directories();

const GONE = { code: "ERR_PARTD_IO", message: expect.stringContaining("was moved or removed") };

async function keptIn(directory: string): Promise<string> {
  // Of a store that still runs: whoever comes later would wait until it is stale.
  rmSync(join(directory, ".partd-log", "lock"), { recursive: true });
  await using store = new LogStore(directory);
  const value = text(await store.get("kept"));
  expect((await store.verify()).damage).toEqual([]);
  return value;
}

test.each([1, 256 * 2 ** 20])(
  "a data set that is moved gets what is appended, or it is refused, in segments of %d bytes",
  async (segmentSize) => {
    const directory = next();
    const store = new LogStore(directory, { segmentSize });
    await store.append({ kept: bytes("before,") });
    renameSync(directory, `${directory}-moved`);
    const done = await appendUntilMoved(store);
    const calls = [() => store.get("kept"), () => store.delete("kept"), () => store.compact()];
    for (const call of calls) {
      await expect(call()).rejects.toMatchObject(GONE);
    }
    await store.close();
    expect(existsSync(directory)).toBe(false);
    expect(done.map((one) => `before,${one}`)).toContain(await keptIn(`${directory}-moved`));
  },
);

test("a data set that is removed gets nothing any more", async () => {
  const directory = next();
  const store = new LogStore(directory);
  await store.append({ kept: bytes("1") });
  rmSync(directory, { recursive: true });
  expect(await appendUntilMoved(store)).toContain("");
  await expect(store.get("kept")).rejects.toMatchObject(GONE);
  await store.close();
  expect(existsSync(directory)).toBe(false);
  await using anew = new LogStore(directory);
  await anew.append({ kept: bytes("2") });
  expect(text(await anew.get("kept"))).toBe("2");
});

test("another data set in its place, also a copy made while the lock was held, is left alone", async () => {
  const [directory, other] = [next(), next()];
  await using another = new LogStore(other);
  await another.append({ kept: bytes("other") });
  await another.close();
  for (const isCopy of [false, true]) {
    const store = new LogStore(directory);
    await store.append({ kept: bytes("1") });
    if (isCopy) cpSync(directory, `${directory}-new`, { recursive: true });
    else renameSync(other, `${directory}-new`);
    renameSync(directory, `${directory}-old`);
    const files = filesOf(`${directory}-new`, ".seg").length;
    renameSync(`${directory}-new`, directory);
    const done = await appendUntilMoved(store);
    await store.close();
    expect(filesOf(directory, ".seg")).toHaveLength(files);
    expect(done.map((one) => `1${one}`)).toContain(await keptIn(`${directory}-old`));
    rmSync(directory, { recursive: true });
    rmSync(`${directory}-old`, { recursive: true });
  }
});
