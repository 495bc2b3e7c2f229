import { cpSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, describe, expect, test } from "@jest/globals";
import * as ours from "@partd/core";
import { sameKey } from "@partd/core/author";

describe("PartdError", () => {
  test("carries its code, what is known, and the cause", () => {
    const cause = new Error("below");
    const error = new ours.PartdError("ERR_PARTD_IO", "It failed.", {
      key: "x",
      offset: 3,
      path: "/p",
      address: "ws://a",
      cause,
    });
    expect(error).toBeInstanceOf(Error);
    expect(error.cause).toBe(cause);
    expect(error).toMatchObject({
      name: "PartdError",
      code: "ERR_PARTD_IO",
      message: "It failed.",
      key: "x",
      offset: 3,
      path: "/p",
      address: "ws://a",
    });
    expect(String(error)).toBe("PartdError: It failed.");
    expect("cause" in new ours.PartdError("ERR_PARTD_IO", "It failed.")).toBe(false);
  });

  test("isPartdError narrows by code, and takes anything", () => {
    const error = new ours.PartdError("ERR_PARTD_KEY", "No key.");
    expect(ours.isPartdError(error)).toBe(true);
    expect(ours.isPartdError(error, "ERR_PARTD_KEY")).toBe(true);
    expect(ours.isPartdError(error, "ERR_PARTD_IO")).toBe(false);
    for (const other of [new Error("x"), { code: "ERR_PARTD_KEY" }, null, undefined, "x", 1]) {
      expect(ours.isPartdError(other)).toBe(false);
    }
  });
});

describe("another copy of the package", () => {
  const folder = mkdtempSync(join(realpathSync(tmpdir()), "partd-core-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const load = async () => {
    cpSync(fileURLToPath(new URL("../dist", import.meta.url)), folder, { recursive: true });
    cpSync(
      fileURLToPath(new URL("../package.json", import.meta.url)),
      join(folder, "package.json"),
    );
    return (await import(pathToFileURL(join(folder, "index.js")).href)) as typeof ours;
  };

  test("its errors, tuples, batches and stores are understood", async () => {
    const theirs = await load();
    expect(theirs.PartdError).not.toBe(ours.PartdError);
    const error = new theirs.PartdError("ERR_PARTD_IO", "It failed.");
    expect(ours.isPartdError(error, "ERR_PARTD_IO")).toBe(true);

    const key = theirs.tuple("a", 1);
    expect(ours.isTuple(key)).toBe(true);
    expect(sameKey(key, ours.tuple("a", 1))).toBe(true);
    const texts: ours.Codec<string> = {
      name: "texts",
      encode: (text) => new TextEncoder().encode(text),
      decode: (bytes) => new TextDecoder().decode(bytes),
      join: (parts) => parts.join(""),
    };
    const store = new ours.Encode(new theirs.Dict() as unknown as ours.Store, texts);
    await store.append([[key as unknown as ours.Key, "1"]]);
    await store.append([[ours.tuple("a", 1), "2"]]);
    expect(await store.get(ours.tuple("a", 1))).toBe("12");
    expect(await store.withLock((held) => held.pop([key as unknown as ours.Key]))).toEqual(["12"]);
    await store.close();
    await expect(store.get("x")).rejects.toMatchObject({ code: "ERR_PARTD_CLOSED" });
  });
});
