import { expect, test } from "@jest/globals";
import { LogStore } from "@partd/log";
import { bytes, directories, text } from "./directories.js";

const { next } = directories();

/** Microtasks after the call, or a turn of the event loop. */
test.each([1, 5, "a turn"])(
  "a buffer that is transferred while a batch of very many keys is encoded deletes nothing: %s",
  async (moment) => {
    await using store = new LogStore(next());
    await store.append({ last: bytes("precious") });
    const last = new Uint8Array(4).fill(65);
    const many = Array.from({ length: 100_000 }, (_, i) => [`k${i}`, bytes("v")] as const);
    const long = store.append([...many, ["last", last]]);
    const beside = store.append({ beside: bytes("b") });
    if (typeof moment === "number") for (let i = 0; i < moment; i++) await null;
    else await new Promise(setImmediate);
    structuredClone(last.buffer, { transfer: [last.buffer as ArrayBuffer] });
    await expect(long).rejects.toMatchObject({ code: "ERR_PARTD_VALUE", key: "last" });
    await beside;
    expect((await store.get(["last", "beside", "k0"])).map(text)).toEqual(["precious", "b", ""]);
    expect(await store.count()).toBe(2);
  },
);
