import { mkdirSync, statSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { readCsv, readNdjson } from "@partd/records";
import {
  aggregate,
  count,
  countBy,
  distinct,
  groupBy,
  join as joinRecords,
  max,
  mean,
  min,
  sort,
  split,
  sum,
} from "@partd/shuffle";
import { csvFile, eventsFile, manyUsersFile, tenfoldFile, usersFile } from "./data.js";

// One side of the suite "shuffle" as a whole process: prints what it found, to be compared.

interface Event {
  readonly user: string;
  readonly ms: number;
}

const [side = "", directory = "", memoryText = "512e6"] = process.argv.slice(2);
const memory = Number(memoryText);
const events = readNdjson<Event>(await eventsFile());

const SIDES: Readonly<Record<string, () => Promise<unknown>>> = {
  async split() {
    const options = { by: "user", into: join(directory, "out"), partitions: 64, memory } as const;
    return [(await split(events, options)).bytes];
  },
  async "split into all"() {
    const into = join(directory, "out");
    const { files, bytes } = await split(events, { by: "user", into, memory });
    return [files, bytes];
  },
  async "split by DuckDB"() {
    mkdirSync(join(directory, "out"));
    await duckdb(`COPY (SELECT line, hash(json_extract_string(line, '$.user')) % 64 AS part
      FROM ${rawLines(await eventsFile())}) TO '${join(directory, "out")}'
      (FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER E'\\x01', PARTITION_BY (part))`);
    return [];
  },
  async "split of CSV"() {
    const options = { by: "user", into: join(directory, "out"), partitions: 64, memory } as const;
    return [(await split(readCsv(await csvFile()), options)).files];
  },
  async "split of CSV by DuckDB"() {
    mkdirSync(join(directory, "out"));
    await duckdb(`COPY (SELECT line, hash(split_part(line, ',', 2)) % 64 AS part
      FROM ${rawLines(await csvFile())}) TO '${join(directory, "out")}'
      (FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER E'\\x01', PARTITION_BY (part))`);
    return [64];
  },
  async "split of 2.4 GB"() {
    const options = { by: "user", into: join(directory, "out"), partitions: 64, memory } as const;
    return [(await split(readNdjson(await tenfoldFile()), options)).bytes];
  },
  async "split of 2.4 GB by DuckDB"() {
    mkdirSync(join(directory, "out"));
    await duckdb(`COPY (SELECT line, hash(json_extract_string(line, '$.user')) % 64 AS part
      FROM ${rawLines(await tenfoldFile())}) TO '${join(directory, "out")}'
      (FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER E'\\x01', PARTITION_BY (part))`);
    return [];
  },
  async "join of 2.4 GB into a file"() {
    const users = readNdjson(await manyUsersFile());
    const left = readNdjson(await tenfoldFile());
    return [await write(joinRecords(left, users, { by: "user", memory }).bytes())];
  },
  async "join of 2.4 GB into a file by DuckDB"() {
    return joinByDuckDB(await tenfoldFile(), await manyUsersFile());
  },
  async count() {
    let users = 0;
    let lines = 0;
    for await (const batch of countBy(events, { by: "user", memory }).batches()) {
      users += batch.length;
      for (const [, n] of batch) lines += n;
    }
    return [users, lines];
  },
  async "count by DuckDB"() {
    return duckdb(`SELECT count(*), sum(n) FROM
      (SELECT user, count(*) AS n FROM ${await parsed()} GROUP BY user)`);
  },
  async aggregate() {
    const select = { n: count(), total: sum("ms"), low: min("ms"), high: max("ms"), m: mean("ms") };
    let users = 0;
    let total = 0;
    for await (const batch of aggregate(events, { by: "user", select, memory }).batches()) {
      users += batch.length;
      for (const [, row] of batch) total += row.total;
    }
    return [users, total];
  },
  async "aggregate by DuckDB"() {
    return duckdb(`SELECT count(*), sum(total) FROM (SELECT user, count(*), sum(ms) AS total,
      min(ms), max(ms), avg(ms) FROM ${await parsed()} GROUP BY user)`);
  },
  async distinct() {
    let users = 0;
    for await (const batch of distinct(events, { by: "user", memory }).batches()) {
      users += batch.length;
    }
    return [users];
  },
  async "distinct by DuckDB"() {
    return duckdb(`SELECT count(*) FROM (SELECT DISTINCT ON (user) * FROM ${await parsed()})`);
  },
  async sort() {
    return [await write(sort(events, { by: "ms", memory }).bytes())];
  },
  async "sort by DuckDB"() {
    await duckdb(`COPY (SELECT line FROM ${rawLines(await eventsFile())}
      ORDER BY json_extract(line, '$.ms')::INT) TO '${join(directory, "sorted")}'
      (FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER E'\\x01')`);
    return [];
  },
  async "join into a file"() {
    const users = readNdjson(await usersFile());
    return [await write(joinRecords(events, users, { by: "user", memory }).bytes())];
  },
  async "join into a file by DuckDB"() {
    return joinByDuckDB(await eventsFile(), await usersFile());
  },
  async join() {
    const users = readNdjson<{ user: string; score: number }>(await usersFile());
    let pairs = 0;
    let score = 0;
    for await (const batch of joinRecords(events, users, { by: "user", memory }).batches()) {
      pairs += batch.length;
      for (const [, right] of batch) score += right.score;
    }
    return [pairs, score];
  },
  async "join by DuckDB"() {
    return duckdb(`SELECT count(*), sum(score) FROM ${await parsed()} AS l JOIN
      read_json('${await usersFile()}', format='newline_delimited',
        columns={user: 'VARCHAR', name: 'VARCHAR', plan: 'VARCHAR', city: 'VARCHAR', score: 'INT'}) AS r
      ON l.user = r.user`);
  },
  async "README's example"() {
    let users = 0;
    let total = 0;
    for await (const group of groupBy(events, { by: "user", memory })) {
      users++;
      for await (const event of group) total += event.ms;
    }
    return [users, total];
  },
  async "by a function"() {
    let users = 0;
    let total = 0;
    for await (const group of groupBy(parsedOneByOne(), { by: ({ user }) => user, memory })) {
      users++;
      for await (const event of group) total += event.ms;
    }
    return [users, total];
  },
  async "a Map"() {
    const totals = new Map<string, number>();
    for await (const { user, ms } of parsedOneByOne()) {
      totals.set(user, (totals.get(user) ?? 0) + ms);
    }
    return [totals.size, [...totals.values()].reduce((a, b) => a + b, 0)];
  },
};

async function joinByDuckDB(left: string, right: string): Promise<number[]> {
  const user = "json_extract_string(line, '$.user')";
  const lines = (path: string) => `(SELECT line, ${user} AS user FROM ${rawLines(path)})`;
  await duckdb(`COPY (SELECT '[' || l.line || ',' || r.line || ']'
    FROM ${lines(left)} AS l JOIN ${lines(right)} AS r ON l.user = r.user)
    TO '${join(directory, "sorted")}'
    (FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER E'\\x01')`);
  return [statSync(join(directory, "sorted")).size];
}

/** Read and parsed as one would without any library. */
async function* parsedOneByOne(): AsyncGenerator<Event> {
  const file = await open(await eventsFile());
  for await (const line of file.readLines()) yield JSON.parse(line);
}

async function write(pieces: AsyncIterable<Uint8Array>): Promise<number> {
  const file = await open(join(directory, "sorted"), "w");
  let bytes = 0;
  for await (const piece of pieces) bytes += (await file.write(piece)).bytesWritten;
  await file.close();
  return bytes;
}

function rawLines(path: string): string {
  return `read_csv('${path}', columns={line: 'VARCHAR'}, delim=E'\\x01',
    quote='', escape='', header=false)`;
}

async function parsed(): Promise<string> {
  return `read_json('${await eventsFile()}', format='newline_delimited', columns={ts: 'VARCHAR',
    user: 'VARCHAR', event: 'VARCHAR', path: 'VARCHAR', ms: 'INT', country: 'VARCHAR'})`;
}

async function duckdb(query: string): Promise<number[]> {
  const { DuckDBInstance } = await import("@duckdb/node-api");
  const instance = await DuckDBInstance.create(":memory:", {
    threads: "2",
    memory_limit: `${memory / 1e6}MB`,
    temp_directory: join(directory, "spilled"),
  });
  const connection = await instance.connect();
  const [row = []] = (await connection.runAndReadAll(query)).getRows();
  return row.map(Number);
}

const run = SIDES[side];
if (!run) throw new Error(`no side ${side}`);
console.log(JSON.stringify(await run()));
