import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { BufferStore } from "@partd/buffer";
import { Blosc } from "@partd/compress-blosc";
import { BZ2 } from "@partd/compress-bz2";
import { LZ4 } from "@partd/compress-lz4";
import { Snappy } from "@partd/compress-snappy";
import { Gzip, ZLib } from "@partd/compress-zlib";
import { Zstd } from "@partd/compress-zstd";
import { Dict, type Key, type Store, tuple } from "@partd/core";
import { FileStore } from "@partd/file";
import { LogStore } from "@partd/log";
import { Client, Server } from "@partd/server";
import { codecs } from "./codecs.js";

/** What stands between codec and store. */
const compressions: Readonly<Record<string, (store: Store) => Store>> = {
  none: (store) => store,
  ZLib: (store) => new ZLib(store),
  Gzip: (store) => new Gzip(store),
  BZ2: (store) => new BZ2(store),
  Snappy: (store) => new Snappy(store),
  Blosc: (store) => new Blosc(store),
  Zstd: (store) => new Zstd(store),
  LZ4: (store) => new LZ4(store),
  "Snappy over Zstd": (store) => new Snappy(new Zstd(store)),
};

let folder: string;
let server: Server;
let count = 0;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "partd-matrix-"));
  server = await Server.listen(new FileStore(join(folder, "served")), {
    address: "ws://127.0.0.1:0",
  });
});

afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

const path = () => join(folder, `data-${count++}`);

const stores: Readonly<Record<string, () => Store>> = {
  Dict: () => new Dict(),
  FileStore: () => new FileStore(path()),
  LogStore: () => new LogStore(path()),
  // Less than one value: most go to the files.
  BufferStore: () =>
    new BufferStore(new Dict(), new FileStore(path()), { availableMemory: 100_000 }),
  Client: () => new Client(server.address),
};

async function collect<T>(values: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const value of values) collected.push(value);
  return collected;
}

describe.each(Object.keys(stores))("over %s", (storeName) => {
  test.each(codecs.map((codec) => [codec.name, codec] as const))(
    "%s, with every compression between",
    async (_, { wrap, values, show, joined, showAll }) => {
      const [first, second] = values;
      for (const [compression, compress] of Object.entries(compressions)) {
        const p = wrap(compress((stores[storeName] as () => Store)()));
        try {
          const x = `x ${compression} ${show(first)}`.slice(0, 40);
          const y: Key = tuple("y", compression);
          const empty = show(await p.get("never"));
          await p.append([
            [x, first],
            [y, second],
          ]);
          await p.append([[x, second]]);
          const [one, [two, none]] = await p.get([x, [y, "never"]]);
          expect([compression, show(one)]).toEqual([compression, joined]);
          expect([compression, show(two)]).toEqual([compression, show(second)]);
          expect(show(none)).toBe(empty);
          await p.flush();
          expect(showAll(await collect(p.stream(x)))).toBe(joined);
          const keys = (await collect(p.keys())).map(String);
          expect(keys).toContain(x);
          expect(keys).toContain(String(y));
          expect(keys.every((key) => !key.endsWith(".dtype"))).toBe(true);
          await p.withLock(async (held) => {
            expect(show(await held.pop(x))).toBe(joined);
            await held.append([[x, second]]);
          });
          expect(show(await p.get(x))).toBe(show(second));
          await p.iset("set", first);
          await p.iset("set", second);
          expect(show(await p.get("set"))).toBe(show(first));
          await p.delete([x, y, "set"]);
          expect(await collect(p.keys())).toEqual([]);
          expect(show(await p.get(x))).toBe(empty);
        } finally {
          await p.close();
        }
      }
    },
  );
});

test.each(codecs.map((codec) => [codec.name, codec] as const))(
  "%s reads what another process of the same tower left",
  async (_, { wrap, values: [first, second], show, joined }) => {
    const place = path();
    for (const value of [first, second]) {
      const p = wrap(new Zstd(new FileStore(place)));
      await p.append([["x", value]]);
      await p.close();
    }
    const p = wrap(new Zstd(new FileStore(place)));
    expect(show(await p.get("x"))).toBe(joined);
    await p.close();
  },
);

test("what one codec wrote is an error for another, or text of no meaning, and never a crash", async () => {
  for (const writer of codecs) {
    for (const reader of codecs) {
      // Objects of NdArray are MessagePack, and any bytes at all are numbers without their dtype.
      if (reader.name.startsWith("NdArray") || writer.name === reader.name) continue;
      // MsgPack reads and writes both MessagePack and the pickles that Python falls back to.
      if (/^(NdArray of objects|Pickle)$/.test(writer.name) && reader.name === "MsgPack") continue;
      if (writer.name === "MsgPack" && reader.name === "Pickle") continue;
      const store = new Dict();
      await writer.wrap(store).append([["x", writer.values[0]]]);
      const read = await reader
        .wrap(store)
        .get("x")
        .catch((error: unknown) => error);
      if (reader.name === "Text" || reader.name === "Lines") continue;
      expect([writer.name, reader.name, read]).toMatchObject([
        writer.name,
        reader.name,
        { key: "x", code: expect.stringMatching(/^ERR_PARTD_(CORRUPT|CODEC)$/) },
      ]);
    }
  }
});
