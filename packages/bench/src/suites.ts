import type { Suite, Work } from "./run/suite.js";

/** Loaded one by one: a suite's peers need not be there for another's. */
const SUITES: Readonly<Record<string, () => Promise<Suite>>> = {
  buffer: async () => (await import("./suites/buffer.js")).buffer,
  cli: async () => (await import("./suites/cli.js")).cli,
  codecs: async () => (await import("./suites/codecs/codecs.js")).codecs,
  compress: async () => (await import("./suites/compress/compress.js")).compress,
  dict: async () => (await import("./suites/dict.js")).dict,
  file: async () => (await import("./suites/file.js")).file,
  keys: async () => (await import("./suites/keys/keys.js")).keys,
  log: async () => (await import("./suites/log.js")).log,
  redis: async () => (await import("./suites/redis.js")).redis,
  s3: async () => (await import("./suites/s3.js")).s3,
  server: async () => (await import("./suites/server/server.js")).server,
  shuffle: async () => (await import("./suites/shuffle/shuffle.js")).shuffle,
};

export const suiteNames: readonly string[] = Object.keys(SUITES);

export async function loadSuite(name: string): Promise<Suite> {
  const load = Object.hasOwn(SUITES, name) ? SUITES[name] : undefined;
  if (!load) throw new Error(`There is no suite ${name}: choose of ${suiteNames.join(", ")}.`);
  const suite = await load();
  return process.env["BENCH_QUICK"] === "1" ? quickly(suite) : suite;
}

/** What `--quick` runs of a suite: works that are not slow, with our side and those of the targets. */
function quickly(suite: Suite): Suite {
  const works = suite.works.flatMap(({ isLong, sides, targets = [], ...work }): Work[] => {
    if (isLong) return [];
    const named = Object.entries(sides).filter(
      ([name], i) => i === 0 || targets.length === 0 || targets.some((one) => one.against === name),
    );
    const judged = suite.judgesFullSizeAlone ? [] : targets;
    return [{ ...work, sides: Object.fromEntries(named), targets: judged }];
  });
  return { ...suite, works };
}
