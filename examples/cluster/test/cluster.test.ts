import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { describeReal, realPart } from "tooling/real-part";

const main = fileURLToPath(new URL("../dist/main.js", import.meta.url));
const run = promisify(execFile);
jest.setTimeout(600_000);

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "partd-cluster-test-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Parts of 22 MB, more than a writer keeps in memory: what the killed worker wrote is in the store. */
const WORDS = ["--flights", "600000", "--tasks", "1"];

/** The figures of the table's only row. Its groups were compared with the file's, in number and in order. */
async function figures(store: string): Promise<string[]> {
  const { stdout } = await run(process.execPath, [main, "--only", store, ...WORDS]);
  return stdout.trim().split("\n").at(-1)?.replaceAll(" s", "").split(/ +/) ?? [];
}

async function expectExactRun(store: string) {
  const [name, tasks, attempts, killed, swept, , , groups, exact] = await figures(store);
  expect(name?.toLowerCase()).toBe(store);
  expect({ tasks, attempts, killed }).toEqual({ tasks: "1", attempts: "2", killed: "1" });
  expect(swept).toBe("16"); // One of each partition.
  expect({ groups, exact }).toEqual({ groups: "223", exact: "223" });
}

const s3 = ["radosgw", "ceph-mon", "ceph-osd"].map((name) => realPart.program(name));
describeReal([...s3, realPart.program("ceph", "ceph-common")], "over radosgw", () => {
  test("one worker is killed, and each group is exact", () => expectExactRun("s3"));
});

describeReal(realPart.redisServer(), "over Redis", () => {
  test("one worker is killed, and each group is exact", () => expectExactRun("redis"));

  test("Ctrl-C leaves nothing in the temporary directory", async () => {
    const temporary = await mkdtemp(join(folder, "temporary-"));
    const child = spawn(process.execPath, [main, "--only", "redis", ...WORDS], {
      env: { ...process.env, TMPDIR: temporary },
      stdio: "inherit",
    });
    const ended = once(child, "exit");
    const hasServer = async () =>
      (await readdir(temporary, { recursive: true })).some((name) => name.endsWith("redis.sock"));
    while (!(await hasServer())) await new Promise((resolve) => setTimeout(resolve, 20));
    child.kill("SIGINT");
    expect(await ended).toEqual([130, null]);
    expect(await readdir(temporary)).toEqual([]);
  });
});

describe("without servers", () => {
  test("it says what to install, or to pass", async () => {
    const env = { ...process.env, PATH: folder };
    const failed = run(process.execPath, [main, "--flights", "1000"], { env });
    await expect(failed).rejects.toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/--s3, or apt-get install radosgw.*\n.*--redis, or apt-get/),
    });
  });
});
