// Compiled, never run: the types of keys and results follow from the source.

import type { Store } from "@partd/core";
import { type CsvRow, readCsv, readNdjson } from "@partd/records";
import {
  aggregate,
  type CountOutput,
  count,
  countBy,
  first,
  groupBy,
  join,
  last,
  max,
  reduceBy,
  Shuffle,
  shuffle,
  sort,
  sum,
  top,
} from "@partd/shuffle";

interface Event {
  readonly user: string;
  readonly ms: number;
  readonly at: { readonly city: string };
}
interface User {
  readonly id: string;
  readonly plan: "free" | "pro";
}
declare const events: AsyncIterable<Event>;
declare const users: User[];
declare const store: Store;

type Same<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function is<_T extends true>(): void {}

for await (const group of groupBy(events, { by: "user" })) {
  is<Same<typeof group.key, string>>();
  for await (const event of group) is<Same<typeof event, Event>>();
}
for await (const { key } of groupBy(events, { by: ["user", "ms"] })) {
  is<Same<typeof key, [string, number]>>();
}
for await (const { key } of groupBy(events, { by: "at.city" })) is<Same<typeof key, string>>();
for await (const { key } of groupBy(events, { by: ({ ms }) => ms > 5 })) {
  is<Same<typeof key, boolean>>();
}
for await (const { key } of groupBy(events, { by: "unknown" })) is<Same<typeof key, unknown>>();
for await (const { key } of groupBy(readNdjson<Event>("x"), { by: "ms" })) {
  is<Same<typeof key, number>>();
}
for await (const group of groupBy(readCsv<CsvRow>("x"), { by: "user" })) {
  is<Same<typeof group.key, string>>();
}

is<Same<ReturnType<typeof counted>, CountOutput<string>>>();
function counted() {
  return countBy(events, { by: "user" });
}
const select = { n: count(), total: sum("ms"), end: last<Event, string>("user") };
for await (const [user, row] of aggregate(events, { by: "user", select })) {
  is<Same<typeof user, string>>();
  is<Same<typeof row, { n: number; total: number; end: string }>>();
}
const extremes = { most: max("ms"), stated: max<Event, number>("user"), any: max("unknown") };
for await (const [, row] of aggregate(events, { by: "user", select: extremes })) {
  is<Same<typeof row, { most: number | undefined; stated: number | undefined; any: unknown }>>();
}
for await (const [, row] of aggregate(events, {
  by: "user",
  select: {
    most: max("ms"),
    // Text that is a number is one in a CSV.
    city: first("at.city"),
    at: last("at"),
    length: max(({ user }) => user.length),
  },
})) {
  is<Same<typeof row.most, number | undefined>>();
  is<Same<typeof row.city, string | number>>();
  is<Same<typeof row.at, { readonly city: string }>>();
  is<Same<typeof row.length, number | undefined>>();
}
declare const sparse: AsyncIterable<{ readonly id: string; readonly size?: bigint | null }>;
for await (const [, row] of aggregate(sparse, {
  by: "id",
  select: { most: max("size"), end: last("size") },
})) {
  is<Same<typeof row, { most: bigint | undefined; end: bigint | null | undefined }>>();
}
for await (const [, row] of aggregate(readCsv("x"), { by: "id", select: { n: max("n") } })) {
  is<Same<typeof row.n, string | number | undefined>>();
}
for await (const [, row] of aggregate(sparse, {
  by: "id",
  select: {
    total: sum("size"),
    lengths: sum(({ id }) => id.length),
    sizes: sum(({ size }) => size),
  },
})) {
  is<Same<typeof row, { total: bigint | 0; lengths: number; sizes: bigint | 0 }>>();
}
for await (const [, row] of aggregate(readCsv("x"), { by: "id", select: { n: sum("n") } })) {
  is<Same<typeof row.n, number>>();
}
const own = { initial: () => 0n, add: (state: bigint, { ms }: Event) => state + BigInt(ms) };
for await (const [, { big }] of aggregate(events, { by: "user", select: { big: own } })) {
  is<Same<typeof big, bigint>>();
}
for await (const [, longest] of reduceBy(events, {
  by: "user",
  initial: () => 0,
  reduce: (most, { ms }) => Math.max(most, ms),
})) {
  is<Same<typeof longest, number>>();
}

for await (const pair of join(events, users, { by: "user", rightBy: "id" })) {
  is<Same<typeof pair, [Event, User]>>();
}
for await (const [, user] of join(events, users, { by: "user", rightBy: "id", kind: "left" })) {
  is<Same<typeof user, User | undefined>>();
}
for await (const event of join(events, users, { by: "user", rightBy: "id", kind: "anti" })) {
  is<Same<typeof event, Event>>();
}
for await (const part of shuffle(events, { by: "user", partitioner: (user) => user.length })) {
  for await (const { key } of part.groups()) is<Same<typeof key, string>>();
}
is<Same<Awaited<ReturnType<typeof sorted>>, Event[]>>();
function sorted() {
  return sort(events, { by: ["user", { by: "ms", order: "desc" }] }).toArray();
}
is<Same<Awaited<ReturnType<typeof topped>>, Event[]>>();
function topped() {
  return top(events, { n: 3, by: ({ at }) => at.city }).toArray();
}
const tasks = new Shuffle<Event, "user">(store, { by: "user" });
for await (const { key } of tasks.groups(0)) is<Same<typeof key, string>>();
const timed = new Shuffle(store, { by: ({ ms }: Event) => ms });
for await (const group of timed.groups(0)) {
  const all = () => group.toArray();
  is<Same<typeof group.key, number>>();
  is<Same<Awaited<ReturnType<typeof all>>, Event[]>>();
}

// @ts-expect-error a direction is one of two
sort(events, { by: { by: "ms", order: "up" } });
// @ts-expect-error a kind is one of six
join(events, users, { by: "user", kind: "outer" });
