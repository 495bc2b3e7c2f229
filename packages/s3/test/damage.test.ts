import { beforeAll, expect, test } from "@jest/globals";
import { isPartdError, type Key } from "@partd/core";
import { crc32 } from "@partd/disk";
import { type ObjectClient, S3Store, type S3StoreOptions } from "@partd/s3";
import { ByteWriter } from "../src/format/bytes.js";
import { Cover } from "../src/format/cover.js";
import { parseSegmentName } from "../src/format/names.js";
import { bytes } from "./bucket.js";
import { memoryBucket } from "./memory-client.js";

const { client, objects } = memoryBucket(7);
const open = (options: Partial<S3StoreOptions> = {}) =>
  new S3Store({ client, bucket: "b", prefix: "p", attempts: 1, ...options });

/** What a new store finds: each key with its value, and the keys it lists. */
async function whole(): Promise<string> {
  await using store = open();
  const keys: Key[] = [];
  for await (const key of store.keys()) keys.push(key);
  const names = ["big", "late", "only", "removed", "set", "x", "y"];
  const values = (await store.get(names)).map((value) => Buffer.from(value).toString("latin1"));
  return JSON.stringify([keys.map(String).sort(), values]);
}

/** Everything that a data set may have: values in parts, removals, indexes, a holder that came too late. */
beforeAll(async () => {
  const one = open({ segmentBytes: 65_536 });
  await one.append({ x: bytes("1"), y: bytes("2"), removed: bytes("3") });
  await one.append({ x: bytes("4"), big: new Uint8Array(82_000).map((_, i) => i % 251) });
  await one.delete("removed");
  await one.iset("set", bytes("5"));
  await one.append({ x: bytes("6") });
  await one.close();
  const two = open();
  await two.append({ x: bytes("7"), only: bytes("8") });
  await two.withLock(async (held) => {
    await held.append({ late: bytes("counts") });
    await held.append({ late: bytes("came too late") });
  });
  const segments = [...objects].flatMap(([key, { body }]) => {
    return parseSegmentName(key.slice(2), body.length) ?? [];
  });
  const epoch = Math.max(...segments.map((segment) => segment.epoch));
  const [first] = segments.filter((segment) => segment.epoch === epoch);
  const body = Cover.of(first ? [first] : []).toObject();
  objects.set(`p/lost/${epoch.toString(16).padStart(8, "0")}`, { body, modified: 0 });
  await two.close();
});

test("the data set has objects of each kind", () => {
  const kinds = new Set([...objects.keys()].map((key) => key.split("/")[1]));
  expect([...kinds].sort()).toEqual(["data", "index", "lock", "lost", "part"]);
});

test("each byte of each object flipped, and each cut: what is read is right, or refused by name", async () => {
  const right = await whole();
  expect(right).toContain('"counts"');
  const wrong: string[] = [];
  let refused = 0;
  const look = async (key: string, body: Uint8Array, what: string) => {
    const { body: before, modified } = objects.get(key) as { body: Uint8Array; modified: number };
    objects.set(key, { body, modified });
    try {
      if ((await whole()) !== right) wrong.push(`${what} of ${key}: wrong`);
    } catch (error) {
      refused++;
      const known = isPartdError(error, "ERR_PARTD_CORRUPT") && error.address;
      if (!known) wrong.push(`${what} of ${key}: ${String(error)}`);
    } finally {
      objects.set(key, { body: before, modified });
    }
  };
  for (const [key, { body }] of [...objects]) {
    const edge = body.length > 4000 ? 32 : 4000;
    for (let at = 0; at < body.length; at += at < edge || body.length - at < edge ? 1 : 1973) {
      const flipped = Uint8Array.from(body);
      flipped[at]! ^= 1 << (at % 8);
      await look(key, flipped, `byte ${at}`);
      await look(key, body.slice(0, at), `a cut at ${at}`);
    }
    await look(key, Buffer.concat([body, Buffer.alloc(1)]), "a byte more");
    await look(key, Buffer.alloc(body.length), "zeros instead");
  }
  expect([wrong.length, wrong.slice(0, 20)]).toEqual([0, []]);
  expect(refused).toBeGreaterThan(500);
  expect(await whole()).toBe(right);
});

test("each byte of a description changed, with its checksum made right: no crash, and no memory", async () => {
  const right = await whole();
  for (const [key, { body, modified }] of [...objects]) {
    if (!key.startsWith("p/data/") && !key.startsWith("p/index/")) continue;
    const isIndex = key.startsWith("p/index/");
    const end = body.length - (isIndex ? 8 : 4);
    const named = Number.parseInt(key.slice(-8), 16) || body.length;
    const start = isIndex
      ? body.length - 20 - Buffer.from(body).readUInt32LE(body.length - 20)
      : body.length - named;
    for (let at = start; at < end; at++) {
      for (const value of [0, 255]) {
        const changed = Buffer.from(body);
        changed[at] = value;
        changed.writeUInt32LE(crc32(changed.subarray(start, end)), end);
        objects.set(key, { body: changed, modified });
        await whole().catch((error) => {
          if (!isPartdError(error)) throw error;
          expect([error.code, error.message]).toEqual([
            expect.stringMatching(/^ERR_PARTD_(CORRUPT|IO|KEY|VALUE)$/),
            expect.not.stringContaining("The store failed"),
          ]);
        });
      }
    }
    objects.set(key, { body, modified });
  }
  expect(await whole()).toBe(right);
});

test.each([
  ["lies in front of the values of its segment", [[0, 1e6, 1, 7]]],
  ["is longer than they are", [[0, 0, 2 ** 45, 7]]],
  ["is of a segment that it does not list", [[9, 0, 1, 7]]],
  ["has no end", [[0]]],
])("an index with a piece that %s is passed over", async (_, pieces) => {
  const own = memoryBucket();
  const opened = () => new S3Store({ client: own.client, bucket: "b", prefix: "p", attempts: 1 });
  const writer = opened();
  for (const value of ["1", "2"]) await writer.append({ x: bytes(value) });
  await writer.close();
  const [name = ""] = [...own.objects.keys()].filter((key) => key.startsWith("p/index/"));
  const block = new ByteWriter();
  const described = new ByteWriter();
  for (const [place, offset, length, checksum] of pieces as number[][]) {
    for (const number of [place, offset, length])
      if (number !== undefined) described.varint(number);
    if (checksum !== undefined) described.uint32(checksum);
  }
  block.varint(1);
  block.ascii("x");
  block.varint(described.length);
  block.append(described.bytes);
  block.uint32(crc32(block.bytes));
  const footer = new ByteWriter();
  for (const number of [2, 1, 1, 0, 1, 1, 0]) footer.varint(number); // Two segments of a byte each.
  footer.varint(1);
  footer.varint(1);
  footer.ascii("x");
  footer.varint(block.length);
  footer.uint32(footer.length);
  footer.append(Buffer.from(name.slice(8, 24), "hex"));
  footer.uint32(crc32(footer.bytes));
  footer.uint32(0x02495370);
  const body = Buffer.concat([block.bytes, footer.bytes]);
  own.objects.set(name, { body, modified: 0 });
  await using store = opened();
  expect(Buffer.from(await store.get("x")).toString()).toBe("12");
  expect(await store.count()).toBe(1);
});

test("an object that would be described by more than memory holds is refused before it is read", async () => {
  const own = memoryBucket();
  const writer = new S3Store({ client: own.client, bucket: "b", prefix: "p" });
  await writer.append({ x: bytes("1") });
  await writer.close();
  const [key = ""] = own.objects.keys();
  for (const [name, size] of [
    [`${key.slice(0, -8)}ffffffff`, 2 ** 42],
    [`${key.slice(0, -8)}00000000`, 2 ** 42],
  ] as const) {
    let isRead = false;
    const client: ObjectClient = {
      ...own.client,
      async list() {
        return { objects: [{ key: name, size, etag: "", modified: 0 }], more: false };
      },
      async get() {
        isRead = true;
        throw new Error("it was read");
      },
    };
    await using store = new S3Store({ client, bucket: "b", prefix: "p", attempts: 1 });
    await expect(store.get("x")).rejects.toMatchObject({
      code: "ERR_PARTD_CORRUPT",
      address: name,
    });
    expect(isRead).toBe(false);
  }
});

test.each([
  ["data/../x", ""],
  ["data/00/../../x", "x"],
  ["lost/00000009", ""],
  ["part/../x", "x"],
  ["index/../x", "x"],
])("an object %s is refused by name, and left alone", async (name, body) => {
  const right = await whole();
  const key = `p/${name}`;
  objects.set(key, { body: Buffer.from(body), modified: 0 });
  const told = { code: "ERR_PARTD_CORRUPT", address: key };
  const work = async () => {
    await using store = open();
    await store.count();
    await store.sweep();
  };
  await expect(work()).rejects.toMatchObject(told);
  expect(objects.delete(key)).toBe(true);
  expect(await whole()).toBe(right);
});
