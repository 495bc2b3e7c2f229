import { afterAll, expect, test } from "@jest/globals";
import { FileStore } from "@partd/file";
import { directories, program } from "./program.js";

const { make, clean } = directories();
afterAll(clean);

test.each(["before", "after"])(
  "a program may listen to a signal once, from %s the first operation",
  async (when) => {
    const directory = make();
    const signalled = program("signalled", directory, when);
    await signalled.line("ready");
    signalled.process.kill("SIGTERM");
    expect(await signalled.ended).toEqual({ code: 3, signal: null });
    await using store = new FileStore(directory);
    expect(Buffer.from(await store.get("x")).toString()).toBe("1+");
  },
);
