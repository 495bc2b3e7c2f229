import { beforeAll, expect, test } from "@jest/globals";
import { awsClient } from "@partd/s3/aws";
import { describeReal } from "tooling/real-part";
import { type Bucket, bytes, namesIn, newBucket, radosgw, read } from "./bucket.js";
import { cut, type Faults, faultyClient, refusal } from "./faulty-client.js";

describeReal(radosgw, "the lock, on radosgw", () => {
  let bucket: Bucket;
  beforeAll(async () => {
    bucket = await newBucket();
  });
  const faulty = (prefix: string, faults: Faults, options = {}) =>
    bucket.store(prefix, { client: faultyClient(awsClient(bucket.client), faults), ...options });

  test("a holder without a sign of life is passed over, and what it commits then is not there", async () => {
    let isSilent = false;
    let late = () => {};
    const isLate = new Promise<void>((resolve) => {
      late = resolve;
    });
    const holder = faulty(
      "late",
      {
        before: async (method, { key = "" }) => {
          if (method === "put" && isSilent && key.includes("/lock/")) throw cut();
          if (method === "put" && isSilent && key.includes("/data/")) await isLate;
        },
      },
      { leaseMs: 300, attempts: 2 },
    );
    await using other = bucket.store("late", { leaseMs: 300 });
    await holder.append({ x: bytes("1") });
    await expect(
      holder.withLock(async (held) => {
        await held.append({ x: bytes("2") });
        isSilent = true;
        const append = held.append({ x: bytes("late") });
        append.catch(() => {}); // Told below.
        await other.append({ x: bytes("3") }); // Passes it over.
        expect(await read(other, "x")).toBe("123");
        late();
        await append;
      }),
    ).rejects.toMatchObject({ code: "ERR_PARTD_LOCK" });
    expect(await read(other, "x")).toBe("123");
    await using third = bucket.store("late");
    expect(await read(third, "x")).toBe("123");
    expect((await namesIn(bucket, "late/lost/")).length).toBe(1);
    isSilent = false;
    await holder.append({ x: bytes("4") });
    expect(await read(third, "x")).toBe("1234");
    await holder.close();
  });

  test("a lock whose answer was lost is our own", async () => {
    let isLost = true;
    await using store = faulty("answer", {
      after: (method, { key = "" }) => {
        if (method !== "put" || !key.includes("/lock/") || !isLost) return;
        isLost = false;
        throw cut();
      },
    });
    await store.append({ x: bytes("1") });
    expect(Buffer.from(await store.pop("x")).toString()).toBe("1");
    expect(isLost).toBe(false);
  });

  test("a server that ignores If-None-Match is refused", async () => {
    const client = awsClient(bucket.client);
    await using store = bucket.store("ignores", {
      client: { ...client, put: ({ ifNoneMatch: _, ...request }) => client.put(request) },
    });
    await expect(store.pop("x")).rejects.toMatchObject({
      code: "ERR_PARTD_IO",
      message: expect.stringMatching(/If-None-Match/),
    });
    expect(await namesIn(bucket, "ignores/")).toEqual([]); // Nothing that others would wait for.
  });

  test("an append that was under way when others took the lock is not popped unseen", async () => {
    let go = () => {};
    const mayGo = new Promise<void>((resolve) => {
      go = resolve;
    });
    let arrived = () => {};
    const isUnderWay = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    await using slow = faulty("under-way", {
      before: async (method, { key = "" }) => {
        if (method !== "put" || !key.includes("/data/")) return;
        arrived();
        await mayGo;
      },
    });
    await using other = bucket.store("under-way");
    await other.append({ x: bytes("1") });
    const append = slow.append({ x: bytes("2") });
    await isUnderWay;
    const popped = await other.withLock(async (held) => {
      go();
      await append;
      return held.pop("x");
    });
    expect(Buffer.from(popped).toString()).toBe("1");
    expect(await read(other, "x")).toBe("2");
  });

  test.each(["append", "get"] as const)(
    "%s waits while others hold the lock",
    async (operation) => {
      const prefix = `waits-${operation}`;
      await using holder = bucket.store(prefix);
      await holder.append({ x: bytes("1") });
      // It has looked for the lock once more, or has gone on without.
      let looks = 0;
      let went = () => {};
      const hasGone = new Promise<void>((resolve) => {
        went = resolve;
      });
      let isWritten = false;
      await using other = faulty(prefix, {
        before: (method, { key = "" }) => {
          if (method === "put" && key.includes("/data/")) {
            isWritten = true;
            went();
          }
          if (method === "list" && ++looks === 4) went();
        },
      });
      expect(await read(other, "x")).toBe("1"); // Opened, it does not wait for that.
      looks = 0;
      let outcome: string | undefined;
      const work = async () => {
        if (operation === "append") await other.append({ x: bytes("3") });
        else outcome = await read(other, "x");
        went();
      };
      const working = await holder.withLock(async (held) => {
        const working = work();
        await hasGone;
        expect([isWritten, outcome]).toEqual([false, undefined]);
        await held.append({ x: bytes("2") });
        return { working };
      });
      await working.working;
      expect(outcome ?? "12").toBe("12");
      expect(await read(holder, "x")).toBe(operation === "append" ? "123" : "12");
    },
  );

  test("the wait for others' lock ends, and names it", async () => {
    await using holder = bucket.store("ends");
    await using other = bucket.store("ends", { lockTimeoutMs: 0 });
    expect(await read(other, "x")).toBe("");
    await holder.withLock(async (held) => {
      await held.append({ x: bytes("1") });
      const told = { code: "ERR_PARTD_LOCK", message: expect.stringContaining("ends/lock/") };
      for (const call of [
        () => other.append({ x: bytes("2") }),
        () => other.get("x"),
        () => other.pop("x"),
      ]) {
        await expect(call()).rejects.toMatchObject(told);
      }
    });
    expect(await read(other, "x")).toBe("1");
  });

  test("a drop that is interrupted has dropped everything; the next one removes the rest", async () => {
    let fails = false;
    await using store = faulty("half", {
      before: (method) => {
        if (method === "delete" && fails) throw refusal(403, "AccessDenied");
      },
    });
    await store.append({ x: bytes("1") });
    await store.delete("x");
    await store.append({ x: bytes("2") });
    fails = true;
    await expect(store.drop()).rejects.toMatchObject({ code: "ERR_PARTD_AUTH" });
    await using other = bucket.store("half");
    expect(await other.count()).toBe(0);
    await other.append({ y: bytes("3") });
    expect(await read(other, "y")).toBe("3");
    await other.drop();
    const left = await namesIn(bucket, "half/");
    expect(left.every((name) => name.startsWith("half/lock/"))).toBe(true);
    expect(left.length).toBeLessThanOrEqual(4);
  });
});
