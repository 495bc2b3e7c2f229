import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import vm from "node:vm";
import { describe, expect, test } from "@jest/globals";

const dist = fileURLToPath(new URL("../dist", import.meta.url));
const files = readdirSync(dist, { recursive: true, encoding: "utf8" }).filter((file) =>
  file.endsWith(".js"),
);

describe("what is built", () => {
  test("imports nothing but its own files", () => {
    expect(files).toEqual(expect.arrayContaining(["author.js", "index.js", "memory.js"]));
    for (const file of files) {
      const code = readFileSync(`${dist}/${file}`, "utf8");
      const imports = [...code.matchAll(/(?:from|import)\s*\(?\s*["']([^"']+)["']/g)];
      for (const [, name] of imports)
        expect([file, name]).toEqual([file, expect.stringMatching(/^\.\.?\//)]);
    }
  });

  test("runs where there is nothing of Node's", async () => {
    const shared = {
      AbortController,
      AbortSignal,
      DOMException,
      performance,
      setTimeout,
      TextDecoder,
      TextEncoder,
    };
    const context = vm.createContext(shared);
    for (const name of ["dispose", "asyncDispose"]) {
      vm.runInContext(`Symbol.${name} ??= Symbol.for("test.${name}")`, context);
    }
    const modules = new Map<string, vm.SourceTextModule>();
    const load = (path: string): vm.SourceTextModule => {
      const loaded = modules.get(path);
      if (loaded) return loaded;
      const module = new vm.SourceTextModule(readFileSync(new URL(path), "utf8"), {
        context,
        identifier: path,
      });
      modules.set(path, module);
      return module;
    };
    const entry = load(new URL("../dist/index.js", import.meta.url).href);
    await entry.link((name, from) => load(new URL(name, from.identifier).href));
    await entry.evaluate();
    const globals = vm.runInContext("Object.keys(globalThis)", context) as string[];
    expect(globals.sort()).toEqual(Object.keys(shared).sort()); // No side effects.

    context["core"] = entry.namespace;
    const answer: unknown = await vm.runInContext(
      `(async () => {
        const { Dict, Encode, tuple } = core;
        const store = new Encode(new Dict(), {
          name: "json",
          encode: (list) => new TextEncoder().encode(JSON.stringify(list)),
          decode: (bytes) => JSON.parse(new TextDecoder().decode(bytes)),
          join: (lists) => lists.flat(),
        });
        await store.append(new Map([[tuple("a", 1), [1]], ["x", [2]]]));
        for (let i = 0; i < 100; i++) await store.append({ x: new Array(1000).fill(i) });
        await store.withLock((held) => held.append({ x: ["end"] }));
        const [list, [x]] = await store.get([tuple("a", 1), ["x"]]);
        await store.close();
        return JSON.stringify([list, x.length, x.at(-1)]);
      })()`,
      context,
    );
    expect(answer).toBe('[[1],100002,"end"]');
  });
});
