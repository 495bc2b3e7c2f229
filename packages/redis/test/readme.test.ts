import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { describeReal, realPart } from "tooling/real-part";
import { RedisServer } from "./redis-server.js";

const folder = fileURLToPath(new URL("..", import.meta.url));

describeReal(realPart.redisServer(), "the README", () => {
  let server: RedisServer;

  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterAll(() => server.stop());

  test("begins with lines that do what they say", async () => {
    const [, code = ""] =
      /```ts no-run\n([\s\S]*?)```/.exec(readFileSync(join(folder, "README.md"), "utf8")) ?? [];
    const program = code
      .replace("redis://localhost:6379", server.url)
      .replace("await using store", "const store")
      .replace(/^(?:(.*); \/\/ → (.*))$/gm, "assert.deepEqual($1, $2);");
    expect(program).toContain("assert.deepEqual(Buffer");
    mkdirSync(join(folder, ".snippets"), { recursive: true });
    const home = mkdtempSync(join(folder, ".snippets/readme-"));
    try {
      const file = join(home, "lines.mjs");
      writeFileSync(
        file,
        `import assert from "node:assert/strict";\n${program}\nawait store.close();\n`,
      );
      const { status, stderr } = spawnSync(process.execPath, [file], { encoding: "utf8" });
      expect(stderr).toBe("");
      expect(status).toBe(0);
    } finally {
      rmSync(home, { recursive: true });
    }
    expect(await server.command("KEYS", "*")).toEqual(["{shuffle}:meta"]);
  });
});
