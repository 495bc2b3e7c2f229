import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "@jest/globals";
import { FileStore } from "@partd/file";
import { LogStore } from "@partd/log";
import { Child } from "./child.js";

const directory = await mkdtemp(join(tmpdir(), "partd-processes-"));
afterAll(() => rm(directory, { recursive: true, force: true }));

const WRITERS = ["a", "b", "c", "d", "e"];
const COUNT = 2_000;

describe("five writer processes and one server on a BufferStore", () => {
  test.each(["file", "log"])("over a %s store", async (kind) => {
    const data = join(directory, kind);
    const address = `ipc://${join(directory, `${kind}.sock`)}`;
    const server = new Child("serve.mjs", address, `buffer-${kind}`, data);
    await server.line();
    const writers = WRITERS.map((name) => new Child("write.mjs", address, name, String(COUNT)));
    expect(await Promise.all(writers.map((writer) => writer.line()))).toEqual(
      WRITERS.map(() => String(COUNT)),
    );
    expect(await Promise.all(writers.map((writer) => writer.exited))).toEqual(WRITERS.map(() => 0));
    expect(await server.kill("SIGTERM")).toBe(0);

    const expected = WRITERS.flatMap((name) =>
      Array.from({ length: COUNT }, (_, i) => `<${name}${i}>`),
    ).sort();
    await using store = kind === "log" ? new LogStore(data) : new FileStore(data);
    expect(marks(await store.get("all"))).toEqual(expected);
    const spread = await store.get(Array.from({ length: 17 }, (_, i) => `k${i}`));
    expect(spread.flatMap(marks).sort()).toEqual(expected);
    const own = await store.get(WRITERS.map((name) => `of ${name}`));
    expect(own.flatMap(marks).sort()).toEqual(expected);
  });
});

function marks(value: Uint8Array): string[] {
  return (new TextDecoder().decode(value).match(/<\w\d+>/g) ?? []).sort();
}
