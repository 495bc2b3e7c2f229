import type { Action } from "../command/command.js";
import { openDataSet } from "./data-set.js";
import { escapedText, jsonKey, showKey } from "./key-text.js";

/** `partd ls`. */
export const ls: Action = async (call) => {
  const { options, terminal, signal } = call;
  await using dataSet = await openDataSet(call);
  const prefix = options.text("prefix") ?? "";
  const escaped = escapedText(prefix);
  const order = options.text("sort");
  const sized = options.has("long") || order === "bytes";
  const rows: Row[] = [];
  let page = "";
  for await (const { key, bytes } of sized
    ? dataSet.sizes(signal)
    : unsized(dataSet.store.keys({ signal }))) {
    const name = showKey(key);
    if (!name.startsWith(prefix) && !name.startsWith(escaped)) continue;
    const row = {
      name,
      bytes,
      text: terminal.json
        ? json(jsonKey(key), bytes)
        : plain(name, options.has("long") ? bytes : undefined),
    };
    if (order !== undefined) rows.push(row);
    else page += `${row.text}\n`;
    if (page.length > PAGE) {
      await terminal.write(page);
      page = "";
    }
  }
  rows.sort(order === "bytes" ? bySize : byName);
  for (let at = 0; at < rows.length; at += 1000) {
    page += rows
      .slice(at, at + 1000)
      .map(({ text }) => `${text}\n`)
      .join("");
    await terminal.write(page);
    page = "";
  }
  if (page !== "") await terminal.write(page);
  return undefined;
};

interface Row {
  readonly name: string;
  readonly bytes: number | undefined;
  readonly text: string;
}

async function* unsized<K>(keys: AsyncIterable<K>): AsyncGenerator<{ key: K; bytes?: number }> {
  for await (const key of keys) yield { key };
}

function plain(name: string, bytes: number | undefined): string {
  return bytes === undefined ? name : `${String(bytes).padStart(14)}  ${name}`;
}

function json(key: string | readonly string[], bytes: number | undefined): string {
  return JSON.stringify({ key, bytes });
}

function bySize(a: Row, b: Row): number {
  return (b.bytes ?? 0) - (a.bytes ?? 0) || byName(a, b);
}

function byName(a: Row, b: Row): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

/** Characters that are written at once. */
const PAGE = 1 << 15;
