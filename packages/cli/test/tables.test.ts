import { readFileSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { describe, expect, test } from "@jest/globals";
import {
  type Data,
  Decimal,
  Dictionary,
  Field,
  FixedSizeList,
  Float32,
  Int32,
  Int64,
  List,
  Map_,
  makeData,
  RecordBatch,
  Schema,
  Struct,
  Table,
  TimestampNanosecond,
  tableFromIPC,
  tableToIPC,
  Utf8,
  vectorFromArray,
} from "apache-arrow";
import { parquetReadObjects } from "hyparquet";
import { momentText } from "../src/tables/cell-text.js";
import { scratch } from "./partd.js";
import { Runner } from "./runner.js";

const cwd = scratch();
const runner = new Runner(cwd);
const DATA = join(dirname(createRequire(import.meta.url).resolve("vega-datasets")), "../data");

async function ours(words: string[], input?: Uint8Array | string): Promise<Buffer> {
  const { code, stdout, err } = await runner.run(words, input);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  return stdout;
}

/** Rows as DuckDB has them, each as its JSON. */
async function duckdb(sql: string): Promise<string[]> {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  try {
    const reader = await connection.runAndReadAll(sql.replaceAll("$", cwd));
    return reader.getRowsJson().map((row) => JSON.stringify(row));
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

/** Whole numbers beyond 2^53, moments, text of every kind, what is missing, lists and objects. */
const LINES = [
  '{"id":9007199254740993,"x":1.5,"t":"é\\n\\"q\\"","b":true,"l":[1,{"a":null}]}',
  '{"id":-9223372036854775808,"x":2,"t":"","b":false,"mixed":1}',
  '{"id":0,"x":-0.25,"t":null,"mixed":"1"}',
  '{"id":null,"t":"2001-01-01T00:00:00.000Z"}',
];
writeFileSync(join(cwd, "in.ndjson"), `${LINES.join("\n")}\n`);

describe.each(["parquet", "arrow"])("%s", (format) => {
  test("there and back, every value is the same", async () => {
    await ours(["distinct", "in.ndjson", "-o", `out.${format}`]);
    const back = (await ours(["distinct", `out.${format}`])).toString().trim().split("\n");
    const isMissing = (value: unknown) => value === null || value === undefined;
    for (const [i, line] of back.entries()) {
      const { l, mixed, ...found } = JSON.parse(line);
      const { l: list, mixed: other, ...given } = JSON.parse(LINES[i] as string);
      for (const name of new Set([...Object.keys(found), ...Object.keys(given)])) {
        if (isMissing(given[name])) expect(found[name]).toBeNull();
        else expect([name, found[name]]).toEqual([name, given[name]]);
      }
      expect(typeof l === "string" ? JSON.parse(l) : l).toEqual(list ?? null);
      expect(mixed).toBe(other === undefined ? null : String(other));
    }
    expect(back[0]).toContain('"id":9007199254740993,');
    expect(back[1]).toContain('"id":-9223372036854775808,');
  });

  test("nothing but columns, and nothing at all", async () => {
    writeFileSync(join(cwd, "none.ndjson"), "");
    await ours(["group", "none.ndjson", "--by", "a", "--count", "-o", `none.${format}`]);
    expect((await ours(["count", `none.${format}`])).toString()).toBe('{"count":0}\n');
    await ours(["sort", "none.ndjson", "--by", "a", "-o", `nothing.${format}`]);
    expect((await ours(["count", `nothing.${format}`])).toString()).toBe('{"count":0}\n');
  });

  test.each(["parquet", "arrow"])(
    "results of it, written as %s, have their columns only",
    async (to) => {
      const lines = ["a,1,2001-01-01", "b,2.5,2002-02-02", "a,4,2001-01-01"];
      await ours(
        ["distinct", "-", "--from", "csv", "-o", "text.ndjson", "-f"],
        `k,v,d\n${lines.join("\n")}\n`,
      );
      await duckdb(
        `COPY (SELECT k, v::DOUBLE AS v, d::DATE AS d FROM '$/text.ndjson') TO '$/days.parquet'`,
      );
      await ours(["distinct", "days.parquet", "-o", `days.${format}`, "-f"]);
      const read = async (...words: string[]) => {
        await ours([...words, "-o", `results.${to}`, "-f"]);
        return (await ours(["sort", `results.${to}`, "--by", "d"])).toString();
      };
      const aggregates = ["sum", "min", "max", "mean", "first", "last"].flatMap((a) => [
        `--${a}`,
        "v",
      ]);
      expect(await read("group", `days.${format}`, "--by", "d", "--count", ...aggregates)).toBe(
        '{"d":"2001-01-01","count":2,"sum_v":5,"min_v":1,"max_v":4,"mean_v":2.5,"first_v":1,"last_v":4}\n' +
          '{"d":"2002-02-02","count":1,"sum_v":2.5,"min_v":2.5,"max_v":2.5,"mean_v":2.5,"first_v":2.5,"last_v":2.5}\n',
      );
      expect(await read("count", `days.${format}`, "--by", "d,k")).toBe(
        '{"d":"2001-01-01","k":"a","count":2}\n{"d":"2002-02-02","k":"b","count":1}\n',
      );
    },
  );

  test("more than is held in memory at a time, in order", async () => {
    const lines = Array.from({ length: 60_000 }, (_, i) => {
      // U+2028 ends lines for node:readline, as of Node 24.
      return `{"i":${i},"text":"${"x".repeat(i % 400)}\u2028","half":${i / 2}}\n`;
    });
    await ours(["distinct", "-", "-o", `large.${format}`], lines.join(""));
    const back = (await ours(["distinct", `large.${format}`])).toString();
    expect(back === lines.join("")).toBe(true);
  });

  test("a table that is cut short or mangled is an error with its name", async () => {
    const whole = readFileSync(join(cwd, `out.${format}`));
    const pieces = [0, 3, 50, whole.length >> 1, whole.length - 20].map((n) =>
      whole.subarray(0, n),
    );
    const mangled = pieces.map((_, i) => {
      const bytes = Buffer.from(whole);
      bytes.fill(0xff, 10 + 40 * i, 30 + 40 * i);
      return bytes;
    });
    // apache-arrow believes every length that its metadata tells.
    const bad = format === "arrow" ? pieces : [...pieces, ...mangled];
    for (const bytes of [...bad, Buffer.alloc(1000, 7)]) {
      writeFileSync(join(cwd, `bad.${format}`), bytes);
      const { code, err } = await runner.run(["sort", `bad.${format}`, "--by", "id", "-q"]);
      if (code === 0) continue; // Some bytes are no one's, or are a value.
      expect(code).toBe(1);
      expect(err).toMatch(/^partd: .*bad\.\w+.*\n$/);
      expect(err.length).toBeLessThan(500);
    }
  });
});

describe("against DuckDB", () => {
  test("it reads the Parquet that is written, types and all", async () => {
    await ours(["sort", "in.ndjson", "--by", "id", "-o", "typed.parquet"]);
    const types = await duckdb(
      "SELECT column_name, column_type FROM (DESCRIBE FROM '$/typed.parquet')",
    );
    expect(types).toEqual([
      '["id","BIGINT"]',
      '["x","DOUBLE"]',
      '["t","VARCHAR"]',
      '["b","BOOLEAN"]',
      '["mixed","VARCHAR"]',
      '["l","JSON"]',
    ]);
    const ids = await duckdb("SELECT id, x, t, b FROM '$/typed.parquet' WHERE id IS NOT NULL");
    expect(ids).toEqual([
      '["-9223372036854775808",2,"",false]',
      '["0",-0.25,null,null]',
      '["9007199254740993",1.5,"é\\n\\"q\\"",true]',
    ]);
  });

  test("the Parquet that it writes: every type, in each of its compressions", async () => {
    const select = `SELECT i::INTEGER AS i, (i * 1e15)::BIGINT + 1 AS big, i / 4.0 AS d, i % 2 = 0 AS b,
      'k' || (i % 7) AS k, TIMESTAMP '2001-01-01 00:00:00.000001' + INTERVAL (i) MINUTE AS moment,
      DATE '1999-12-31' + i::INTEGER AS day, CASE WHEN i % 3 = 0 THEN NULL ELSE i END AS hole,
      [i, i + 1] AS list, {'a': i} AS object FROM range(5000) t(i)`;
    const expected = Array.from({ length: 5000 }, (_, i) => {
      const minute = new Date(978_307_200_000 + i * 60_000).toISOString().slice(0, 20);
      const day = new Date(Date.UTC(1999, 11, 31) + i * 86_400_000).toISOString().slice(0, 10);
      const big = BigInt(i) * 10n ** 15n + 1n;
      return `{"i":${i},"big":${big},"d":${i / 4},"b":${i % 2 === 0},"k":"k${i % 7}","moment":"${minute}000001Z","day":"${day}","hole":${i % 3 === 0 ? null : i},"list":[${i},${i + 1}],"object":{"a":${i}}}\n`;
    });
    for (const codec of ["snappy", "zstd", "gzip", "lz4_raw", "brotli"]) {
      await duckdb(
        `COPY (${select}) TO '$/${codec}.parquet' (FORMAT parquet, COMPRESSION ${codec})`,
      );
      const read = (await ours(["distinct", `${codec}.parquet`])).toString();
      expect([codec, read === expected.join("")]).toEqual([codec, true]);
    }
    // And what is written of it again has the same types, moments of microseconds among them.
    await ours(["sort", "zstd.parquet", "--by", "i", "-o", "again.parquet"]);
    const scalars = "i, big, d, b, k, moment, day, hole";
    const both = await duckdb(
      `SELECT count(*)::INTEGER FROM (SELECT ${scalars} FROM '$/zstd.parquet' EXCEPT SELECT ${scalars.replace("moment", "moment::TIMESTAMP")} FROM '$/again.parquet')`,
    );
    expect(both).toEqual(["[0]"]);
  });

  test("bytes that are declared to be nothing are text if they are UTF-8, else base64", async () => {
    const rows =
      "SELECT i, ('t' || i)::BLOB AS t, CASE WHEN i = 2999 THEN '\\xAA\\x00'::BLOB ELSE 'b'::BLOB END AS b, [('l' || i)::BLOB, '\\xFF'::BLOB] AS l FROM range(3000) r(i)";
    await duckdb(`COPY (${rows}) TO '$/bytes.parquet' (FORMAT parquet, ROW_GROUP_SIZE 2048)`);
    const read = (await ours(["sort", "bytes.parquet", "--by", "i:desc"])).toString().split("\n");
    expect(read.slice(0, 2)).toEqual([
      '{"i":2999,"t":"t2999","b":"qgA=","l":["bDI5OTk=","/w=="]}',
      '{"i":2998,"t":"t2998","b":"Yg==","l":["bDI5OTg=","/w=="]}',
    ]);
    expect((await ours(["count", "bytes.parquet", "--by", "b"])).toString()).toBe(
      '{"b":"Yg==","count":2999}\n{"b":"qgA=","count":1}\n',
    );
  });

  test("what is not read of Parquet is told as such", async () => {
    await duckdb(
      "COPY (SELECT INTERVAL 1 DAY AS a, 1 AS b) TO '$/interval.parquet' (FORMAT parquet)",
    );
    expect((await runner.run(["sort", "interval.parquet", "--by", "b"])).err).toBe(
      "partd: interval.parquet holds what is not read: parquet interval not supported\n",
    );
    expect((await ours(["count", "interval.parquet", "--by", "b"])).toString()).toBe(
      '{"b":1,"count":1}\n',
    );
    writeFileSync(join(cwd, "secret.parquet"), "PARE0123456789PARE");
    expect((await runner.run(["count", "secret.parquet"])).err).toBe(
      "partd: secret.parquet holds what is not read: it is encrypted\n",
    );
  });

  test("three million flights by origin", async () => {
    const flights = join(DATA, "flights-3m.parquet");
    const words = [
      "group",
      flights,
      "--by",
      "origin",
      "--count",
      "--mean",
      "delay",
      "--to",
      "parquet",
    ];
    writeFileSync(join(cwd, "means.parquet"), await ours(words));
    const rows = await duckdb(
      `SELECT count(*)::INTEGER FROM '$/means.parquet' m JOIN (SELECT origin, count(*) AS n, avg(delay) AS d FROM '${flights}' GROUP BY origin) f
       ON m.origin = f.origin AND m.count = f.n AND abs(m.mean_delay - f.d) < 1e-9`,
    );
    const groups = await duckdb(`SELECT count(DISTINCT origin)::INTEGER FROM '${flights}'`);
    expect(rows).toEqual(groups);
  });
});

test("Arrow of other programs: nanoseconds, floats, lists; as a file, and as a stream on standard input", async () => {
  const nanos = [978_307_200_123_456_789n, -1n, 0n];
  const times = makeData({
    type: new TimestampNanosecond(),
    length: 3,
    nullCount: 0,
    data: BigInt64Array.from(nanos),
  });
  const columns = {
    id: vectorFromArray([1n, 2n, null], new Int64()),
    name: vectorFromArray(["a", null, "é"], new Utf8()),
    f: vectorFromArray([0.5, Number.NaN, 1], new Float32()),
    l: vectorFromArray([[1, 2], [], null], new List(new Field("item", new Float32()))),
  };
  const fields = Object.entries(columns).map(([name, { type }]) => new Field(name, type, true));
  const schema = new Schema([...fields, new Field("at", times.type, true)]);
  const children = [...Object.values(columns).map(({ data }) => data[0]!), times];
  const data = makeData({ type: new Struct(schema.fields), length: 3, nullCount: 0, children });
  const table = new Table(new RecordBatch(schema, data as never));
  const lines = [
    '{"id":1,"name":"a","f":0.5,"l":[1,2],"at":"2001-01-01T00:00:00.123456789Z"}',
    '{"id":2,"name":null,"f":null,"l":[],"at":"1969-12-31T23:59:59.999999999Z"}',
    '{"id":null,"name":"é","f":1,"l":null,"at":"1970-01-01T00:00:00.000Z"}',
  ];
  writeFileSync(join(cwd, "other.arrow"), tableToIPC(table, "file"));
  expect((await ours(["distinct", "other.arrow"])).toString()).toBe(`${lines.join("\n")}\n`);
  const stream = tableToIPC(table, "stream");
  const words = ["distinct", "-", "--from", "arrow", "--to", "arrow"];
  const again = tableFromIPC(await ours(words, stream));
  expect(again.schema.fields.map(({ name, type }) => `${name}: ${type}`)).toEqual([
    "id: Int64",
    "name: Utf8",
    "f: Float64",
    "l: Utf8",
    "at: Timestamp<NANOSECOND, UTC>",
  ]);
  const failed = await runner.run(["group", "other.arrow", "--by", "id", "--sum", "name"]);
  expect(failed).toMatchObject({ code: 1, out: "" });
  expect(failed.err).toContain('partd: other.arrow: row 1 has "a" for --sum name');
});

test("Arrow as pandas writes it, streams one behind the other, and streams that are cut short", async () => {
  const packed = new URL("../../records/test/fixtures/feather.arrow", import.meta.url);
  writeFileSync(join(cwd, "packed.arrow"), readFileSync(packed));
  const rows = '{"i":1,"t":"a"}\n{"i":null,"t":null}\n{"i":3,"t":"é"}\n';
  expect((await ours(["distinct", "packed.arrow"])).toString()).toBe(rows);
  const edges = new URL("../../records/test/fixtures/edges.arrows", import.meta.url);
  writeFileSync(join(cwd, "edges.arrows"), readFileSync(edges));
  const edged = (await ours(["distinct", "edges.arrows"])).toString();
  expect(edged).toContain(
    '{"long":1,"word":"y","list":["y",null],"nanos":"2024-01-02T03:04:05.123999999Z"',
  );
  const unions = [...edged.matchAll(/"union":([^}]*)/g)].map(([, json]) => json);
  expect(unions).toEqual(['"2024-01-02T03:04:05.678Z"', "0.3", "null"]);
  const stream = await ours(["distinct", "packed.arrow", "--to", "arrow"]);
  const two = Buffer.concat([stream, stream]);
  writeFileSync(join(cwd, "two.arrows"), two);
  const cut = two.subarray(0, -3);
  writeFileSync(join(cwd, "cut.arrows"), cut);
  const count = ["count", "--from", "arrow"];
  expect((await ours([...count, "two.arrows"])).toString()).toBe('{"count":6}\n');
  expect((await ours([...count, "-"], two)).toString()).toBe('{"count":6}\n');
  writeFileSync(join(cwd, "cut.arrow"), readFileSync(packed).subarray(0, -3));
  const { code, err } = await runner.run(["count", "cut.arrow"]);
  expect({ code, err }).toMatchObject({
    code: 1,
    err: expect.stringContaining(
      "cut.arrow is damaged, or no Arrow: it is cut short, or something",
    ),
  });
  for (const [name, words] of Object.entries({
    "cut.arrows": [...count, "cut.arrows"],
    "standard input": [...count, "-"],
  })) {
    const { code, stdout, err } = await runner.run(words, cut);
    expect({ code, out: stdout.toString() }).toEqual({ code: 1, out: "" });
    expect(err).toContain(`${name} is damaged, or no Arrow: it is cut short: the message at byte`);
  }
});

test("a join of tables keeps the types of both, and columns that no record fills", async () => {
  const day = "DATE '2001-01-01' AS";
  await duckdb(`COPY (SELECT 1 AS id, ${day} a) TO '$/left.parquet'`);
  await duckdb(`COPY (SELECT 2 AS id, ${day} b) TO '$/right.parquet'`);
  await ours([
    "join",
    "left.parquet",
    "right.parquet",
    "--on",
    "id",
    "--type",
    "left",
    "-o",
    "j.parquet",
  ]);
  expect(
    await duckdb("SELECT column_name, column_type FROM (DESCRIBE FROM '$/j.parquet')"),
  ).toEqual(['["id","BIGINT"]', '["a","DATE"]', '["b","DATE"]']);
  expect(String(await ours(["distinct", "j.parquet"]))).toBe(
    '{"id":1,"a":"2001-01-01","b":null}\n',
  );
});

test("only the columns that matter are read", async () => {
  await ours(["sort", "in.ndjson", "--by", "id", "-o", "few.parquet"]);
  const bytes = readFileSync(join(cwd, "few.parquet"));
  const rows = await parquetReadObjects({ file: new Uint8Array(bytes).buffer });
  expect(rows).toHaveLength(4);
  // The pages of other columns are overwritten: who reads them fails.
  const at = bytes.indexOf(Buffer.from('é\n"q"'));
  expect(at).toBeGreaterThan(0);
  bytes.fill(0xff, at - 20, at);
  writeFileSync(join(cwd, "few.parquet"), bytes);
  expect((await runner.run(["distinct", "few.parquet"])).code).toBe(1);
  expect((await ours(["count", "few.parquet", "--by", "b", "--to", "csv"])).toString()).toBe(
    "b,count\n,2\nfalse,1\ntrue,1\n",
  );
});

test("texts and categories that a damaged Arrow table does not have are errors, not read", async () => {
  const category = new Dictionary(new Utf8(), new Int32());
  const table = new Table({
    t: vectorFromArray(["a", "bb", "ccc"], new Utf8()),
    c: vectorFromArray(["x", "y", "x"], category),
  });
  const whole = Buffer.from(tableToIPC(table, "stream"));
  const bytesOf = (...numbers: number[]) => Buffer.from(Int32Array.from(numbers).buffer);
  const [offsets, codes] = [bytesOf(0, 1, 3, 6), bytesOf(0, 1, 0)];
  const damages: [before: Buffer, after: Buffer][] = [
    [offsets, offsets],
    [offsets, bytesOf(0, 3, 1, 6)],
    [offsets, bytesOf(0, 1, 3, 600)],
    [offsets, bytesOf(0, -1, 3, 6)],
    [codes, bytesOf(0, 1, 9)],
  ];
  for (const [i, [before, after]] of damages.entries()) {
    const damaged = Buffer.from(whole);
    after.copy(damaged, damaged.indexOf(before));
    writeFileSync(join(cwd, "damaged.arrow"), damaged);
    const { code, err } = await runner.run(["distinct", "damaged.arrow"]);
    expect([i, code]).toEqual([i, i === 0 ? 0 : 1]);
    if (i > 0) expect(err).toContain("damaged.arrow is damaged");
  }
});

test("a record that lacks a field has nothing from its prototype", async () => {
  const lines = '{"constructor":1,"k":1}\n{"k":2}\n';
  for (const to of ["parquet", "arrow"]) {
    const path = join(cwd, `lacking.${to}`);
    expect(await runner.run(["distinct", "-", "-o", path], lines)).toMatchObject({ code: 0 });
    const { out } = await runner.run(["distinct", path]);
    expect(out).toBe('{"constructor":1,"k":1}\n{"constructor":null,"k":2}\n');
  }
});

test("packed tables are neither read nor written", async () => {
  for (const words of [
    ["distinct", "-", "-o", "packed.arrow.gz"],
    ["count", "packed.parquet.gz"],
  ]) {
    writeFileSync(join(cwd, "packed.parquet.gz"), "");
    const { code, err } = await runner.run(words, '{"a":1}\n');
    expect([words[0], code]).toEqual([words[0], 2]);
    expect(err).toContain("packed");
  }
});

test("moments keep their digits", () => {
  expect(momentText(0n, 3)).toBe("1970-01-01T00:00:00.000Z");
  expect(momentText(-1n, 6)).toBe("1969-12-31T23:59:59.999999Z");
  expect(momentText(1_000n, 6)).toBe("1970-01-01T00:00:00.001Z");
  expect(momentText(1n, 9)).toBe("1970-01-01T00:00:00.000000001Z");
  expect(momentText(-5n, 0)).toBe("1969-12-31T23:59:55.000Z");
  expect(momentText(2n ** 62n, 0)).toBe(String(2n ** 62n));
});

test("decimals of Parquet have all their digits, also in CSV", async () => {
  const columns = `
    (id * 1.1 - 5)::decimal(4, 1) as int32,
    (id * 1234567890123.45 - 99)::decimal(18, 2) as int64,
    case when id <> 3 then (id - 4) * 1234567890123456789012.0123456789::decimal(36, 10) end as bytes`;
  await duckdb(`copy (select ${columns} from range(8) t(id)) to '$/decimals.parquet'`);
  const texts = "coalesce(columns(*)::varchar, '')";
  const expected = await duckdb(`select ${texts} from '$/decimals.parquet'`);
  const csv = String(await ours(["distinct", "decimals.parquet", "--to", "csv"]))
    .trim()
    .split("\n");
  expect(csv[0]).toBe("int32,int64,bytes");
  expect(csv.slice(1).map((row) => JSON.stringify(row.split(",")))).toEqual(
    expected.map((row) => JSON.stringify(Object.values(JSON.parse(row)))),
  );
  const lines = String(await ours(["distinct", "decimals.parquet"]))
    .trim()
    .split("\n");
  expect(lines[0]).toBe('{"int32":-5.0,"int64":-99.00,"bytes":-4938271560493827156048.0493827156}');
  expect(lines[3]).toContain('"bytes":null');
});

test("decimals within lists and objects of Parquet have all their digits, and so has its JSON", async () => {
  const columns = `
    [id * 1.15::decimal(9, 2), null, -0.05::decimal(9, 2)] as list,
    {d: (id - 1)::decimal(30, 10), n: {m: id * 12345678901234567.89::decimal(20, 2)}, t: 'x'} as object,
    map {'a"': 1.5::decimal(4, 1), 'b': null} as map,
    case when id = 1 then [{q: [1.25::decimal(5, 2)]}] end as deep,
    '{"big": 12345678901234567890, "one": [1.0]}'::json as json`;
  await duckdb(`copy (select ${columns} from range(2) t(id)) to '$/nested.parquet'`);
  const expected = [
    '{"list":[0.00,null,-0.05],"object":{"d":-1.0000000000,"n":{"m":0.00},"t":"x"},"map":{"a\\"":1.5,"b":null},"deep":null,"json":{"big": 12345678901234567890, "one": [1.0]}}',
    '{"list":[1.15,null,-0.05],"object":{"d":0.0000000000,"n":{"m":12345678901234567.89},"t":"x"},"map":{"a\\"":1.5,"b":null},"deep":[{"q":[1.25]}],"json":{"big": 12345678901234567890, "one": [1.0]}}',
  ];
  const lines = String(await ours(["distinct", "nested.parquet"]));
  expect(lines.trim().split("\n")).toEqual(expected);
  // They are JSON in a table that is written, and as they were.
  await ours(["distinct", "nested.parquet", "-o", "json.parquet"]);
  expect(String(await ours(["distinct", "json.parquet"]))).toBe(lines);
  expect(
    await duckdb(
      "select column_type, count(*)::int from (describe from '$/json.parquet') group by all",
    ),
  ).toEqual(['["JSON",5]']);
  const arrow = await ours(["distinct", "nested.parquet", "--to", "arrow"]);
  expect(JSON.stringify(tableFromIPC(arrow).get(0)?.["json"])).toBe(
    JSON.stringify('{"big": 12345678901234567890, "one": [1.0]}'),
  );
});

test("decimals and moments within lists and objects of Arrow have all their digits", async () => {
  const type = new Decimal(2, 20, 128);
  const words = (value: bigint) =>
    [0n, 32n, 64n, 96n].map((bits) => Number(BigInt.asUintN(32, value >> bits)));
  const whole = [115n, -5n, 12345678901234567890n, 0n];
  const data = Uint32Array.from(whole.flatMap(words));
  const child = makeData({ type, length: 4, nullCount: 0, data });
  const item = new Field("item", type, true);
  const moments = makeData({
    type: new TimestampNanosecond(),
    length: 3,
    nullCount: 0,
    data: BigInt64Array.of(1n, 2n, 3n),
  });
  const [names] = vectorFromArray(["a", "b", 'c"', "d"], new Utf8()).data;
  const entries = makeData({
    type: new Struct([new Field("key", new Utf8()), new Field("value", type, true)]),
    length: 4,
    nullCount: 0,
    children: [names as Data, child],
  });
  const valueOffsets = Int32Array.of(0, 2, 2, 4);
  const nullBitmap = Uint8Array.of(0b101);
  const columns = [
    makeData({ type: new List(item), length: 3, nullCount: 1, nullBitmap, valueOffsets, child }),
    makeData({
      type: new FixedSizeList(1, item),
      length: 3,
      nullCount: 0,
      child: child.slice(0, 3),
    }),
    makeData({
      type: new Struct([new Field("d", type), new Field("t", moments.type)]),
      length: 3,
      nullCount: 0,
      children: [child.slice(0, 3), moments],
    }),
    makeData({
      type: new Map_(new Field("entries", entries.type)),
      length: 3,
      nullCount: 0,
      valueOffsets,
      child: entries,
    }),
  ];
  const lines = async (data: Data) => {
    const schema = new Schema([new Field("x", data.type, true)]);
    const rows = makeData({
      type: new Struct(schema.fields),
      length: 3,
      nullCount: 0,
      children: [data],
    });
    writeFileSync(join(cwd, "x.arrow"), tableToIPC(new Table([new RecordBatch(schema, rows)])));
    const found = String(await ours(["distinct", "x.arrow"]));
    return [...found.matchAll(/^\{"x":(.*)\}$/gm)].map(([, value]) => value);
  };
  expect(await lines(columns[0] as Data)).toEqual([
    "[1.15,-0.05]",
    "null",
    "[123456789012345678.90,0.00]",
  ]);
  expect(await lines(columns[1] as Data)).toEqual(["[1.15]", "[-0.05]", "[123456789012345678.90]"]);
  expect(await lines(columns[2] as Data)).toEqual([
    '{"d":1.15,"t":"1970-01-01T00:00:00.000000001Z"}',
    '{"d":-0.05,"t":"1970-01-01T00:00:00.000000002Z"}',
    '{"d":123456789012345678.90,"t":"1970-01-01T00:00:00.000000003Z"}',
  ]);
  expect(await lines(columns[3] as Data)).toEqual([
    '{"a":1.15,"b":-0.05}',
    "{}",
    '{"c\\"":123456789012345678.90,"d":0.00}',
  ]);
});

test("progress of tables has a total, also of a stream of Arrow", async () => {
  const lines = '{"a":1}\n{"a":2}\n';
  const { stdout } = await runner.run(["distinct", "--to", "arrow"], lines);
  writeFileSync(join(cwd, "stream.arrow"), stdout);
  for (const name of ["file.arrow", "file.parquet"]) {
    expect(await runner.run(["distinct", "-o", name], lines)).toMatchObject({ code: 0 });
  }
  const progressOf = async (name: string) => {
    const { err } = await runner.run(["count", name, "--json"]);
    return JSON.parse(err.split("\n")[0] as string).progress;
  };
  for (const name of ["file.arrow", "file.parquet", "stream.arrow"]) {
    const { bytesDone, bytesTotal } = await progressOf(name);
    expect([name, bytesDone]).toEqual([name, statSync(join(cwd, name)).size]);
    expect(bytesTotal).toBe(bytesDone);
  }
});
