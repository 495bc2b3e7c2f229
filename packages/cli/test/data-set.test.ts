import { spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { Json } from "@partd/codec-json";
import { NdArray } from "@partd/codec-ndarray";
import { V8 } from "@partd/codec-v8";
import { Snappy } from "@partd/compress-snappy";
import { Dict, tuple } from "@partd/core";
import { FileStore } from "@partd/file";
import { LogStore } from "@partd/log";
import { Client, Server } from "@partd/server";
import { describeReal, realPart } from "tooling/real-part";
import { begin, ended, partd, scratch } from "./partd.js";
import { Runner } from "./runner.js";

const cwd = scratch();
const runner = new Runner(cwd);
const run = (words: string[], input?: string | Uint8Array, env?: NodeJS.ProcessEnv) =>
  env ? partd(words, { cwd, env, input: input ?? "" }) : runner.run(words, input);

describe.each(["file", "log"])("a data set in a directory, --store %s", (kind) => {
  const place = `of-${kind}`;

  test("append makes it, get gives the bytes back", async () => {
    const bytes = Uint8Array.from({ length: 1000 }, (_, i) => i % 256);
    expect((await run(["append", place, "x", "--store", kind], bytes)).code).toBe(0);
    expect((await run(["append", place, "2024/JFK"], "a flight")).code).toBe(0);
    expect((await run(["append", place, "a/b", "--literal"], "one key")).code).toBe(0);
    expect(new Uint8Array((await run(["get", place, "x"])).stdout)).toEqual(bytes);
    expect((await run(["get", place, "2024/JFK", "a%2Fb"])).out).toBe("a flightone key");
    expect((await run(["get", place, "2024/JFK", "-o", "-"])).out).toBe("a flight");
  });

  test("ls and stat tell keys and sizes", async () => {
    expect((await run(["ls", place, "--sort", "key"])).out).toBe("2024/JFK\na%2Fb\nx\n");
    expect((await run(["ls", place, "--sort", "bytes", "--long"])).out.split(/\s+/)).toEqual([
      "",
      "1000",
      "x",
      "8",
      "2024/JFK",
      "7",
      "a%2Fb",
      "",
    ]);
    expect((await run(["ls", place, "--prefix", "2024/", "--json"])).out).toBe(
      '{"key":["2024","JFK"]}\n',
    );
    const stat = JSON.parse((await run(["stat", place, "--json", "--top", "1"])).out);
    expect(stat).toMatchObject({
      kind: kind === "file" ? "FileStore" : "LogStore",
      keys: 3,
      bytes: 1015,
      largest: [{ key: "x", bytes: 1000 }],
    });
    const shown = await run(["stat", place]);
    expect(shown.out).toContain("3 keys, 1.01 kB; a key has 338 B in the mean, 8 B in the middle,");
    expect(shown.out).toMatch(/512 B to {3}1\.02 kB {2}1 {2}█+/);
    expect(shown.err).toBe("");
  });

  test("a mistyped key is answered with the nearest, and nothing is deleted", async () => {
    const ended = await run(["delete", place, "x", "2024/JFQ"]);
    expect(ended).toMatchObject({ code: 1, out: "" });
    expect(ended.err).toBe("partd: there is no key 2024/JFQ; did you mean 2024/JFK?\n");
    expect((await run(["ls", place])).out.split("\n")).toContain("x");
  });

  test("delete, verify, compact and drop", async () => {
    expect((await run(["delete", place, "x"])).code).toBe(0);
    expect(await run(["verify", place])).toMatchObject({ code: 0 });
    expect((await run(["compact", place])).code).toBe(0);
    expect((await run(["get", place, "2024/JFK"])).out).toBe("a flight");
    const refused = await run(["drop", place]);
    expect(refused).toMatchObject({ code: 2 });
    expect(refused.err).toContain("--yes");
    expect((await run(["ls", place])).out).not.toBe("");
    expect((await run(["drop", place, "--yes"])).code).toBe(0);
    expect((await run(["ls", place])).out).toBe("");
  });
});

describe.each(["file", "log"])("append --by into a data set, --store %s", (kind) => {
  const place = `by-${kind}`;
  const EVENTS = [
    '{"user":"ann","ms":12.0}',
    '{"user":"a/b", "ms":3}',
    '{"user":"ann","ms":30,"big":12345678901234567890}',
    '{"user":7,"ms":3}',
  ].map((line) => `${line}\n`);

  test("each record byte for byte under the key that its field says; get gives them back", async () => {
    writeFileSync(join(cwd, "by.ndjson"), EVENTS.join(""));
    const appended = await run(["append", place, "by.ndjson", "--by", "user", "--store", kind]);
    expect(appended).toMatchObject({
      code: 0,
      out: "",
      err: "partd: appended 4 records, 116 B, to 3 keys\n",
    });
    expect((await run(["ls", place, "--sort", "key"])).out).toBe("7\na%2Fb\nann\n");
    expect((await run(["get", place, "ann", "a%2Fb"])).out).toBe(
      EVENTS[0]! + EVENTS[2] + EVENTS[1],
    );
    const more = await run(["append", place, "--by", "user", "--json"], '{"user":"ann"}');
    expect(more.out).toBe('{"keys":1,"records":1,"appended":15}\n');
    expect((await run(["get", place, "ann"])).out).toBe(`${EVENTS[0]}${EVENTS[2]}{"user":"ann"}\n`);
  });

  test("several fields are a tuple; rows of CSV; a codec takes records as values", async () => {
    writeFileSync(join(cwd, "by.csv"), 'k,"v"\r\nx,"a\nb"\r\ny,2\r\nx,007');
    const several = ["append", `${place}-2`, "by.csv", "--by", "k,v", "--store", kind];
    expect((await run(several)).code).toBe(0);
    expect((await run(["ls", `${place}-2`, "--sort", "key"])).out).toBe("x/007\nx/a%0Ab\ny/2\n");
    expect((await run(["get", `${place}-2`, "x/a%0Ab"])).out).toBe('x,"a\nb"\r\n');
    const codec = ["--codec", "json", "--compress", "snappy"];
    const words = ["append", `${place}-3`, "by.csv", "--by", "k", "--store", kind, ...codec];
    expect((await run(words)).code).toBe(0);
    expect((await run(["get", `${place}-3`, "x", ...codec])).out).toBe(
      '{"k":"x","v":"a\\nb"}\n{"k":"x","v":"007"}\n',
    );
  });

  test("what is malformed leaves the data set as it was, and makes none", async () => {
    const bad = `${EVENTS[0]}{"ms":1}\n{bad\n`;
    const append = (where: string, ...words: string[]) =>
      run(["append", where, "--by", "user", "--store", kind, ...words], bad);
    expect(await append(`${place}-new`, "--missing", "skip")).toMatchObject({ code: 1 });
    expect(await append(`${place}-new`, "--reject", `${kind}.bad`)).toMatchObject({ code: 1 });
    expect(existsSync(join(cwd, `${place}-new`))).toBe(false);
    expect(existsSync(join(cwd, `${kind}.bad`))).toBe(false);
    const apart = ["--missing", `${kind}.none`, "--reject", `${kind}.bad`];
    const ended = await append(`${place}-new`, ...apart);
    expect(ended).toMatchObject({ code: 3 });
    expect(ended.err).toContain("appended 1 record, 25 B, to 1 key");
    expect((await run(["get", `${place}-new`, "ann"])).out).toBe(EVENTS[0]);
    expect(readFileSync(join(cwd, `${kind}.none`), "utf8")).toBe('{"ms":1}\n');
    expect(readFileSync(join(cwd, `${kind}.bad`), "utf8")).toBe("{bad\n");
    expect((await append(`${place}-new`, ...apart)).err).toContain("--force");
  });

  test("more than memory holds, in several appends", async () => {
    const records = Array.from(
      { length: 3000 },
      (_, i) => `{"k":${i % 7},"n":${i},"t":"${"t".repeat(600)}"}\n`,
    );
    const bounds = ["--memory", "1MB", "--tmp", cwd];
    const words = ["append", `${place}-many`, "--by", "k", "--store", kind, ...bounds];
    expect((await run(words, records.join(""))).code).toBe(0);
    for (let key = 0; key < 7; key++) {
      const { out } = await run(["get", `${place}-many`, String(key)]);
      expect(out).toBe(records.filter((_, i) => i % 7 === key).join(""));
    }
  });
});

test("drop asks, and deletes at yes; Ctrl-C at the question ends it with 130, and quietly", async () => {
  await run(["append", "asked", "x"], "y");
  const question = /^\S*Delete the one key of \S+\? Type yes: /;
  const answer = async (typed: string, words: string[] = []) => {
    const end = await runner.type(["drop", "asked", ...words], typed);
    if ("died" in end) throw new Error(end.died);
    const shown = stripVTControlCharacters(end.err);
    expect(shown).toMatch(question);
    return {
      code: end.code,
      rest: shown.replace(question, ""),
    };
  };
  expect(await answer("\u0003")).toEqual({ code: 130, rest: "\n" });
  expect((await answer("\u0003", ["--json"])).rest).toMatch(
    /^\n\{"error":\{"code":"INTERRUPTED",.*130\}\}\n$/,
  );
  expect(await answer("\u0004")).toMatchObject({
    code: 1,
    rest: expect.stringContaining("nothing was deleted"),
  });
  expect(await answer("no\r")).toMatchObject({ code: 1 });
  expect((await run(["ls", "asked"])).out).toBe("x\n");
  expect(await answer("yes\r")).toMatchObject({ code: 0 });
  expect((await run(["ls", "asked"])).out).toBe("");
});

test("append: options of the one form are no options of the other", async () => {
  const refused = async (words: string[], what: string) => {
    const ended = await run(["append", "forms", ...words], "x");
    expect(ended).toMatchObject({ code: 2, out: "" });
    expect(ended.err).toContain(what);
  };
  await refused([], "append needs a KEY, or --by FIELD");
  await refused(["k", "--missing", "skip"], "--missing goes with --by FIELD");
  await refused(["--by", "k", "--literal"], "--by and --literal do not go together");
  await refused(["--by", "k", "--codec", "arrow"], "write a program");
  expect(existsSync(join(cwd, "forms"))).toBe(false);
});

describe("values", () => {
  test("NDJSON through json and snappy is what a program reads", async () => {
    const words = ["--codec", "json", "--compress", "snappy"];
    expect((await run(["append", "tower", "ann", ...words], '{"ms":1}\n\n[2]')).code).toBe(0);
    expect((await run(["get", "tower", "ann", ...words])).out).toBe('{"ms":1}\n[2]\n');
    await using store = new Json(new Snappy(new LogStore(join(cwd, "tower"))));
    expect(await store.get("ann")).toEqual([{ ms: 1 }, [2]]);
  });

  test("a byte order mark is a character of text, and none of JSON", async () => {
    const append = ["append", "marks", "x", "--codec"];
    expect((await run([...append, "text"], "\ufeffa\n")).code).toBe(0);
    expect((await run(["get", "marks", "x", "--codec", "text"])).out).toBe("\ufeffa\n");
    expect(
      (await run(["append", "marks-of-json", "x", "--codec", "json"], "\ufeff[1]\n")).code,
    ).toBe(0);
    expect((await run(["get", "marks-of-json", "x", "--codec", "json"])).out).toBe("[1]\n");
  });

  test("what JSON has no form for is written as its nearest", async () => {
    await using values = new V8(new FileStore(join(cwd, "v8")));
    await values.append({ x: [new Map([["a", 1n]]), new Date(0), new Set([1]), Number.NaN] });
    await values.close();
    expect((await run(["get", "v8", "x", "--codec", "v8"])).out).toBe(
      '{"a":1}\n"1970-01-01T00:00:00.000Z"\n[1]\n"NaN"\n',
    );
    await using arrays = new NdArray(new FileStore(join(cwd, "nd")));
    await arrays.append({ x: new Float64Array([1.5, -2]) });
    await arrays.close();
    expect((await run(["get", "nd", "x", "--codec", "ndarray"])).out).toBe("1.5\n-2\n");
  });

  test("a codec of an npm package, and of a file", async () => {
    const code = `export const upper = {
      name: "upper",
      encode: (text) => new TextEncoder().encode(text.toUpperCase()),
      decode: (bytes) => new TextDecoder().decode(bytes).toLowerCase(),
      join: (texts) => texts.join(""),
    };`;
    mkdirSync(join(cwd, "node_modules/upper-codec"), { recursive: true });
    const manifest = {
      name: "upper-codec",
      type: "module",
      exports: { ".": { import: "./m.js" } },
    };
    writeFileSync(join(cwd, "node_modules/upper-codec/package.json"), JSON.stringify(manifest));
    writeFileSync(join(cwd, "node_modules/upper-codec/m.js"), code);
    writeFileSync(join(cwd, "upper.mjs"), code);
    await using bytes = new FileStore(join(cwd, "foreign"));
    await bytes.append({ x: new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0, 65]) });
    await bytes.close();
    expect((await run(["get", "foreign", "x", "--codec", "upper-codec"])).out).toBe("a");
    expect((await run(["get", "foreign", "x", "--codec", "./upper.mjs"])).out).toBe("a");
    const missing = await run(["get", "foreign", "x", "--codec", "no-such-codec"]);
    expect(missing).toMatchObject({ code: 2, out: "" });
    expect(missing.err).toContain("npm install no-such-codec");
  });

  test("a malformed line is told with its place, and nothing is appended", async () => {
    writeFileSync(join(cwd, "bad.ndjson"), `{"a":1}\n{"a":${"1".repeat(500)}x}\n`);
    const ended = await run(["append", "bad", "k", "bad.ndjson", "--codec", "json"]);
    expect(ended).toMatchObject({ code: 1, out: "" });
    expect(ended.err).toContain("bad.ndjson:2:");
    expect(ended.err.length).toBeLessThan(400);
    expect(existsSync(join(cwd, "bad"))).toBe(false);
  });

  test("damage is found, and ends with 1", async () => {
    await using store = new Json(new FileStore(join(cwd, "cut")));
    await store.append({ whole: [1], short: [2, 3, 4] });
    await store.close();
    writeFileSync(join(cwd, "cut/short"), readFileSync(join(cwd, "cut/short")).subarray(0, -2));
    expect(await run(["verify", "cut"])).toMatchObject({ code: 0 });
    const found = await run(["verify", "cut", "--codec", "json", "--json"]);
    expect(found.code).toBe(1);
    expect(JSON.parse(found.out)).toMatchObject({ keys: 2, damage: [{ keys: ["short"] }] });

    await using log = new LogStore(join(cwd, "torn"));
    await log.append({ x: new Uint8Array(10_000).fill(7) });
    await log.close();
    const [segment] = readdirSync(join(cwd, "torn"), { recursive: true, encoding: "utf8" }).filter(
      (name) => statSync(join(cwd, "torn", name)).size > 10_000,
    ) as [string];
    const bytes = readFileSync(join(cwd, "torn", segment));
    bytes[5_000] = 8;
    writeFileSync(join(cwd, "torn", segment), bytes);
    const damaged = await run(["verify", "torn"]);
    expect(damaged.code).toBe(1);
    expect(damaged.out).toMatch(/torn.*:\d+: .*of "x"/);
    expect((await run(["get", "torn", "x"])).err).toContain("partd verify lists all damage");
    // Sizes are told without reading values, which for a server's would all come over the wire.
    expect(await run(["ls", "torn", "--long"])).toMatchObject({ out: "         10000  x\n" });
    expect((await run(["stat", "torn"])).out).toMatch(/^1 key, 10.0 kB/m);
    cpSync(join(cwd, "torn"), join(cwd, "mended"), { recursive: true });
    expect(await run(["delete", "mended", "x"])).toMatchObject({ code: 0 });
    expect(await run(["ls", "mended"])).toMatchObject({ code: 0, out: "" });

    cpSync(join(cwd, "torn"), join(cwd, "rest"), { recursive: true });
    expect(await run(["compact", "rest"])).toMatchObject({ code: 1 });
    const salvaged = await run(["compact", "rest", "--salvage", "--quiet"]);
    expect(salvaged).toMatchObject({ code: 0, out: "" });
    expect(salvaged.err).toMatch(/^partd: left out: .*rest.*:\d+: 10000 bytes: .*of "x"\)\n$/);
    expect(await run(["verify", "rest"])).toMatchObject({ code: 0 });
    const again = await run(["compact", "rest", "--salvage", "--json"]);
    expect(JSON.parse(again.out)).toMatchObject({ leftOut: [] });
    unlinkSync(join(cwd, "torn/.partd-log/manifest"));
    const { err } = await run(["ls", "torn"]);
    expect(err).toContain("run partd compact --salvage, which reads all of them");
    expect(err).not.toContain("salvage: true");
  });

  test("an output file appears when it is complete, and is not overwritten unasked", async () => {
    const store = ["append", "outs", "k"];
    await run(store, "one");
    expect((await run(["get", "outs", "k", "-o", "k.txt"])).code).toBe(0);
    await run(store, "two");
    const refused = await run(["get", "outs", "k", "-o", "k.txt"]);
    expect(refused).toMatchObject({ code: 2 });
    expect(refused.err).toContain("--force");
    expect(readFileSync(join(cwd, "k.txt"), "utf8")).toBe("one");
    expect((await run(["get", "outs", "k", "-o", "k.txt", "--force"])).code).toBe(0);
    expect(readFileSync(join(cwd, "k.txt"), "utf8")).toBe("onetwo");
    expect((await run(["get", "outs", "nokey", "-o", "n.txt"])).code).toBe(1);
    expect(readdirSync(cwd).filter((name) => /n\.txt|partial/.test(name))).toEqual([]);
  });
});

test("a prefix may be typed as keys are, and verify tells the bytes that are stored", async () => {
  await run(["append", "odd", "käse", "--codec", "json", "--store", "file"], "1\n");
  await run(["append", "odd", "k\n", "--codec", "json"], "2\n");
  for (const [prefix, listed] of [
    ["kä", "k%C3%A4se\n"],
    ["k%C3", "k%C3%A4se\n"],
    ["k\n", "k%0A\n"],
    ["kx", ""],
  ] as const) {
    expect((await run(["ls", "odd", "--prefix", prefix])).out).toBe(listed);
  }
  const { out } = await run(["verify", "odd", "--codec", "json"]);
  expect(out).toBe("2 keys, 22 B read: nothing is damaged\n");
});

test("what get writes of a codec is NDJSON, whatever it is called; bytes and text may be anything", async () => {
  await run(["append", "named", "k", "--codec", "json"], "1\n");
  const get = (...words: string[]) => run(["get", "named", "k", ...words]);
  const refused = await get("--codec", "json", "-o", "k.csv");
  expect(refused).toMatchObject({ code: 2, out: "" });
  expect(refused.err).toContain("--out k.csv: what is written is ndjson, not packed");
  expect(existsSync(join(cwd, "k.csv"))).toBe(false);
  expect(await get("--codec", "json", "-o", "named.txt")).toMatchObject({ code: 0 });
  expect(await get("--codec", "text", "-o", "named.csv")).toMatchObject({ code: 0 });
  expect(await get("-o", "named.parquet")).toMatchObject({ code: 0 });
});

describe("what is not a data set", () => {
  test("is not made one by reading, and not dropped", async () => {
    for (const command of ["ls", "stat", "verify", "compact"]) {
      const ended = await run([command, "nothing-here"]);
      expect(ended).toMatchObject({ code: 2, out: "" });
      expect(ended.err).toContain("there is no data set");
    }
    expect(existsSync(join(cwd, "nothing-here"))).toBe(false);
    mkdirSync(join(cwd, "mine"));
    writeFileSync(join(cwd, "mine/thesis"), "years");
    for (const words of [
      ["drop", "mine", "--yes"],
      ["append", "mine", "x"],
    ]) {
      expect(await run(words, "y")).toMatchObject({ code: 2, out: "" });
    }
    expect(readdirSync(join(cwd, "mine"))).toEqual(["thesis"]);
  });

  test("a mistyped directory is answered with the nearest", async () => {
    await run(["append", "shuffle", "x"], "y");
    expect((await run(["ls", "shufle"])).err).toContain(`did you mean ${join(cwd, "shuffle")}?`);
  });
});

describe("servers", () => {
  test("serve a directory; SIGTERM writes everything down and ends with 0", async () => {
    const words = ["serve", "served", "--address", "ipc://served.sock", "--memory", "50MB"];
    const child = begin(words, { cwd });
    const done = ended(child);
    await once(child.stdout as NodeJS.ReadableStream, "data");
    const address = `ipc://${join(cwd, "served.sock")}`;
    expect((await run(["append", address, "x"], "hello")).code).toBe(0);
    expect((await run(["get", address, "x"])).out).toBe("hello");
    await using client = new Client(address);
    await client.append([[tuple("a", 1), new Uint8Array(100)]]);
    expect((await run(["ls", address, "--sort", "key", "-l"])).out.split(/\s+/)).toEqual([
      "",
      "100",
      "a/1",
      "5",
      "x",
      "",
    ]);
    child.kill("SIGTERM");
    expect(await done).toMatchObject({ code: 0, signal: null });
    expect((await run(["get", "served", "x"])).out).toBe("hello");
    expect((await run(["ls", "served", "--sort", "key"])).out).toBe("a/1\nx\n");
  });

  test("a token comes from the environment or a file, and is printed nowhere", async () => {
    await using server = await Server.listen(new Dict(), { token: "s3cret" });
    const refused = await run(["ls", server.address]);
    expect(refused.code).toBe(1);
    const env = { PARTD_TOKEN: "s3cret" };
    expect((await run(["append", server.address, "x"], "1", env)).code).toBe(0);
    writeFileSync(join(cwd, "token"), "s3cret\n");
    expect((await run(["get", server.address, "x", "--token-file", "token"])).out).toBe("1");
    writeFileSync(join(cwd, "wrong"), "wr0ng\n");
    const wrong = await run(["get", server.address, "x", "--token-file", "wrong"]);
    expect(wrong).toMatchObject({ code: 1, out: "" });
    expect(refused.err + wrong.err).not.toMatch(/s3cret|wr0ng/);
  });

  test("an address that others reach needs a token", async () => {
    const ended = await run(["serve", "open", "--address", "ws://0.0.0.0:0"]);
    expect(ended).toMatchObject({ code: 2, out: "" });
    expect(ended.err).toContain("PARTD_TOKEN");
  });

  test("what cannot be an address, or a certificate, makes no data set", async () => {
    writeFileSync(join(cwd, "no.pem"), "none");
    for (const words of [
      ["serve", "never", "--address", "foo"],
      ["serve", "never", "--address", "wss://127.0.0.1:0", "--cert", "no.pem", "--key", "no.pem"],
      ["ls", "ws://"],
    ]) {
      expect([words, await run(words)]).toMatchObject([words, { code: 2, out: "" }]);
    }
    expect(existsSync(join(cwd, "never"))).toBe(false);
  });

  test("a server that is not there is an error", async () => {
    const ended = await run(["ls", `ipc://${join(cwd, "nobody.sock")}`]);
    expect(ended).toMatchObject({ code: 1, out: "" });
    expect(ended.err).toMatch(/^partd: .+ Is partd serve running there\?\n$/);
  });
});

describeReal(realPart.openssl(), "wss:// with certificates of one's own", () => {
  const openssl = (line: string) => {
    const { status, stderr } = spawnSync("openssl", line.split(" "), { cwd, encoding: "utf8" });
    expect([line, status === 0 ? "" : stderr]).toEqual([line, ""]);
  };

  test("the authority is named by --ca or by NODE_EXTRA_CA_CERTS, or the server is refused", async () => {
    openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ours");
    openssl("req -newkey rsa:2048 -nodes -keyout s.key -out s.csr -subj /CN=localhost");
    writeFileSync(join(cwd, "names"), "subjectAltName=DNS:localhost,IP:127.0.0.1");
    openssl(
      "x509 -req -in s.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out s.pem -days 2 -extfile names",
    );
    const env = { PARTD_TOKEN: "s3cret" };
    const words = ["serve", "secure", "--address", "wss://127.0.0.1:0", "--cert", "s.pem", "--key"];
    const child = begin([...words, "s.key", "-q"], { cwd, env });
    const done = ended(child);
    const [line] = (await once(child.stdout as NodeJS.ReadableStream, "data")) as [Buffer];
    const address = String(line).trim();
    expect(address).toMatch(/^wss:\/\/127\.0\.0\.1:\d+$/);

    const refused = await run(["ls", address], undefined, env);
    expect(refused).toMatchObject({ code: 1, out: "" });
    expect(refused.err).toContain("--ca FILE names the authority");
    const trusting = { ...env, NODE_EXTRA_CA_CERTS: join(cwd, "ca.pem") };
    expect((await run(["append", address, "x"], "hello", trusting)).code).toBe(0);
    expect((await run(["get", address, "x", "--ca", "ca.pem"], undefined, env)).out).toBe("hello");
    const tokenless = await run(["get", address, "x", "--ca", "ca.pem"]);
    expect(tokenless).toMatchObject({ code: 1, out: "" });
    expect(tokenless.err).toContain("set PARTD_TOKEN, or give --token-file");

    child.kill("SIGTERM");
    expect(await done).toMatchObject({ code: 0, signal: null });
    expect((await run(["get", "secure", "x"])).out).toBe("hello");
  });
});
