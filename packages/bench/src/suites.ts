import type { Suite } from "./suite.js";

/** Loaded one by one: a suite's peers need not be there for another's. */
const SUITES: Readonly<Record<string, () => Promise<Suite>>> = {
  buffer: async () => (await import("./buffer.js")).buffer,
  cli: async () => (await import("./cli.js")).cli,
  codecs: async () => (await import("./codecs.js")).codecs,
  compress: async () => (await import("./compress.js")).compress,
  dict: async () => (await import("./dict.js")).dict,
  file: async () => (await import("./file.js")).file,
  keys: async () => (await import("./keys.js")).keys,
  log: async () => (await import("./log.js")).log,
  redis: async () => (await import("./redis.js")).redis,
  s3: async () => (await import("./s3.js")).s3,
  server: async () => (await import("./server.js")).server,
  shuffle: async () => (await import("./shuffle.js")).shuffle,
};

export const suiteNames: readonly string[] = Object.keys(SUITES);

export async function loadSuite(name: string): Promise<Suite> {
  const load = Object.hasOwn(SUITES, name) ? SUITES[name] : undefined;
  if (!load) throw new Error(`There is no suite ${name}: choose of ${suiteNames.join(", ")}.`);
  return load();
}
