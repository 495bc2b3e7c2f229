// The real programs that tests compare with or talk to. Where one is missing, its tests
// are skipped with one line that says how to get it; under CI=true they fail instead.
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { describe, test } from "@jest/globals";

// Debian's own Python: another python3 may stand earlier on the PATH, without the
// modules that Debian packages.
const DEBIAN_PYTHON = "/usr/bin/python3";

export const realPart = {
  python(...modules) {
    const packages = modules.map((module) => `python3-${module}`);
    const probe = spawnSync(
      DEBIAN_PYTHON,
      ["-c", modules.map((module) => `import ${module}`).join("\n")],
      { stdio: "ignore" },
    );
    return part(packages.join(", "), packages, probe.status === 0 && DEBIAN_PYTHON);
  },
  redisServer: () => part("redis-server", ["redis-server"], onPath("redis-server")),
  redisCli: () => part("redis-cli", ["redis-tools"], onPath("redis-cli")),
  chromium: () => part("chromium", ["chromium"], onPath("chromium") || onPath("chromium-browser")),
  program: (name, debian = name) => part(name, [debian], onPath(name)),
  openssl: () => part("openssl", ["openssl"], onPath("openssl")),
};

export function describeReal(parts, title, body) {
  const missing = [parts].flat().filter((one) => one.command === undefined);
  if (missing.length === 0) {
    describe(title, body);
    return;
  }
  const reason = `needs ${missing.map((one) => one.need).join(" and ")}`;
  if (process.env.CI === "true" || process.env.CI === "1") {
    describe(title, () => {
      test(reason, () => {
        throw new Error(reason);
      });
    });
    return;
  }
  process.stderr.write(`skipped: ${title}: ${reason}\n`);
  describe.skip(`${title} (${reason})`, body);
}

function part(name, packages, found) {
  const need = `${name} (Debian: apt-get install ${packages.join(" ")})`;
  return { name, need, command: found || undefined };
}

function onPath(name) {
  for (const folder of [...(process.env.PATH ?? "").split(delimiter), "/usr/bin"]) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      if (existsSync(path)) return path;
    } catch {
      // not in this folder
    }
  }
  return undefined;
}
