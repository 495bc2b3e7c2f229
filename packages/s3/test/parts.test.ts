import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "@jest/globals";
import { awsClient } from "@partd/s3/aws";
import { describeReal } from "tooling/real-part";
import { type Bucket, bytes, endpoint, namesIn, newBucket, radosgw, read } from "./bucket.js";
import { cut, faultyClient, refusal } from "./faulty-client.js";

const KILLS = Number(process.env["PARTD_KILLS"] ?? 4);

describeReal(radosgw, "values in parts, on radosgw", () => {
  let bucket: Bucket;
  beforeAll(async () => {
    bucket = await newBucket();
  });

  test("a writer that is killed in mid-commit leaves whole commits, and parts that are swept", async () => {
    for (let i = 0; i < KILLS; i++) {
      const told = await killed(bucket, `killed-${i}`, 1 + 2 * i);
      const store = bucket.store(`killed-${i}`);
      const [a, b] = await store.get(["a", "b"]);
      expect(a.length % 200_000).toBe(0);
      expect(a.length).toBe(b.length);
      expect(a.length).toBeGreaterThanOrEqual(told * 200_000);
      for (let at = 0; at < a.length; at += 200_000) expect(a[at]).toBe((at / 200_000) % 256);
      await store.sweep({ olderThanMs: 0 });
      const commits = a.length / 200_000;
      const parts = await namesIn(bucket, `killed-${i}/part/`);
      expect(parts.length).toBe(commits * Math.ceil(400_000 / 65_536));
      expect((await store.get("a")).length).toBe(a.length);
      await store.drop();
      expect(await namesIn(bucket, `killed-${i}/part/`)).toEqual([]);
      await store.close();
    }
  });

  test("what was swept under its writer is not there, and its append says so", async () => {
    let arrived = () => {};
    const isUnderWay = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    let go = () => {};
    const mayGo = new Promise<void>((resolve) => {
      go = resolve;
    });
    let isSlow = true;
    const before = async (method: string, { key = "" }: { readonly key?: string }) => {
      if (method !== "put" || !key.includes("/data/") || !isSlow) return;
      arrived();
      await mayGo;
    };
    const client = faultyClient(awsClient(bucket.client), { before });
    await using slow = bucket.store("swept", { client, segmentBytes: 65_536 });
    await using other = bucket.store("swept");
    const append = slow.append({ x: new Uint8Array(300_000) });
    append.catch(() => {}); // Told below.
    await isUnderWay;
    expect(await other.sweep()).toBe(0); // Too young.
    expect(await other.sweep({ olderThanMs: 0 })).toBe(5);
    go();
    await expect(append).rejects.toMatchObject({ code: "ERR_PARTD_IO" });
    isSlow = false;
    expect(await other.count()).toBe(0);
    await slow.append({ x: bytes("1") });
    expect(await read(other, "x")).toBe("1");
  });

  test("a part that cannot be written fails the append, and the others are removed", async () => {
    const client = faultyClient(awsClient(bucket.client), {
      before: (method, { key = "" }) => {
        if (method === "put" && key.endsWith("-00000002")) throw refusal(403, "AccessDenied");
      },
    });
    await using store = bucket.store("refused", { client, segmentBytes: 65_536 });
    const append = store.append({ x: new Uint8Array(300_000), y: bytes("1") });
    await expect(append).rejects.toMatchObject({ code: "ERR_PARTD_AUTH" });
    expect(await store.count()).toBe(0);
    expect(await namesIn(bucket, "refused/")).toEqual([]);
  });

  test("parts stay where it is not known whether they were committed", async () => {
    let isDone = false;
    const isCommit = (method: string, key: string) => method === "put" && key.includes("/data/");
    const client = faultyClient(awsClient(bucket.client), {
      before: (method, { key = "" }) => {
        if (isCommit(method, key) && isDone) throw cut();
      },
      after: (method, { key = "" }) => {
        if (!isCommit(method, key)) return;
        isDone = true;
        throw cut();
      },
    });
    const store = bucket.store("unknown", { client, segmentBytes: 65_536, attempts: 2 });
    const append = store.append({ x: new Uint8Array(300_000).fill(7) });
    await expect(append).rejects.toMatchObject({ code: "ERR_PARTD_CONNECTION" });
    await store.close();
    await using other = bucket.store("unknown");
    expect(await other.get("x")).toEqual(new Uint8Array(300_000).fill(7));
  });
});

/** Kills a writer once it has said so many times that an append was done. @returns how many were. */
async function killed(bucket: Bucket, prefix: string, after: number): Promise<number> {
  const program = fileURLToPath(new URL("writer.mjs", import.meta.url));
  const child = spawn(process.execPath, [program, endpoint(), bucket.name, prefix], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  let told = 0;
  for await (const _ of createInterface({ input: child.stdout })) {
    if (++told === after) setTimeout(() => child.kill("SIGKILL"), 5 * after); // Some way into the next.
  }
  await ended;
  return told;
}
