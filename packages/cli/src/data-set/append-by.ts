import { type Key, type Store, tuple } from "@partd/core";
import { type Group, groupBy } from "@partd/shuffle";
import type { Call } from "../command/command.js";
import { Failure, UsageError } from "../command/failure.js";
import { showBytes, showMany } from "../command/quantity.js";
import { jsonText } from "../records/json-text.js";
import { keyBy, partsOf, RecordRun } from "../records/record-run.js";
import type { RecordValues } from "../records/record-values.js";
import { openDataSet } from "./data-set.js";
import { showKey } from "./key-text.js";
import { buildTower, requireAppendable } from "./tower.js";

/**
 * `partd append --by`: appends each record to the key that its fields say. All records are read before the first is
 * appended, so a malformed one leaves the data set as it was.
 */
export async function appendBy(
  call: Call,
  inputs: readonly string[],
  fields: readonly string[],
): Promise<number | undefined> {
  const { options, terminal, signal } = call;
  for (const other of ["literal", "max-bytes"]) {
    if (options.has(other)) throw new UsageError(`--by and --${other} do not go together`);
  }
  await using dataSet = await openDataSet(call, { create: true, fsync: options.has("fsync") });
  const { store, codec } = await buildTower(dataSet.store, options);
  requireAppendable(codec);
  const wanted = { asked: fields, required: fields };
  return await RecordRun.do({ ...call, arguments: inputs }, wanted, async (run) => {
    const batches = new Batches(store, options.number("memory"), signal);
    let keys = 0;
    try {
      await using groups = groupBy(run.source, { by: keyBy(fields), ...run.options });
      for await (const group of groups) {
        const key = keyOf(partsOf(group.key, fields));
        keys++;
        for await (const { value, bytes } of valuesOf(group, key, codec, run.source.values)) {
          await batches.add(key, value, bytes);
        }
        run.show("appending");
      }
      await batches.end();
    } catch (error) {
      if (batches.bytes > 0) {
        terminal.note(`${showBytes(batches.bytes)} had been appended by then, and stay`);
      }
      throw error;
    }
    const { bytes } = batches;
    const records = run.kept;
    if (terminal.json) await terminal.line(JSON.stringify({ keys, records, appended: bytes }));
    else if (keys === 0) terminal.note("there are no records: nothing was appended");
    else {
      terminal.note(
        `appended ${showMany(records, "record")}, ${showBytes(bytes)}, to ${showMany(keys, "key")}`,
      );
    }
  });
}

/** The key of a data set for a record's key. A part that is not text becomes its JSON, because keys are text. */
function keyOf(parts: readonly unknown[]): Key {
  const texts = parts.map((part) => (typeof part === "string" ? part : jsonText(part)));
  return texts.length === 1 ? (texts[0] as string) : tuple(...texts);
}

interface Value {
  readonly value: unknown;
  /** Bytes of the records that became the value. */
  readonly bytes: number;
}

/** The records of a group as the codec takes them, some at a time. */
async function* valuesOf(
  group: Group<unknown, string>,
  key: Key,
  codec: string | undefined,
  values: RecordValues,
): AsyncGenerator<Value> {
  if (codec === undefined) {
    // A short piece lies in an array of some KiB, which it would keep.
    for await (const piece of group.bytes()) {
      yield { value: new Uint8Array(piece), bytes: piece.byteLength };
    }
    return;
  }
  for await (const records of group.batches()) {
    const bytes = records.reduce((sum, { length }) => sum + length, 0);
    if (codec === "text") yield { value: utf8(records.join(""), key), bytes };
    else if (codec === "lines") {
      const lines = records.map((record) => utf8(record, key).replace(/\n$/, ""));
      yield { value: lines, bytes };
    } else yield { value: records.map((record) => values.object(record)), bytes };
  }
}

/** @param text in which each character is a byte. */
function utf8(text: string, key: Key): string {
  try {
    return UTF8.decode(Buffer.from(text, "latin1"));
  } catch {
    throw new Failure(`a record of ${showKey(key)} is not UTF-8 text`);
  }
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Gathers values to append them together: an append of many costs hardly more than one of a few. */
class Batches {
  /** Bytes of the records that were appended. */
  bytes = 0;
  readonly #store: Store<unknown>;
  readonly #most: number;
  readonly #signal: AbortSignal;
  #entries: [Key, unknown][] = [];
  #length = 0;

  constructor(store: Store<unknown>, memory: number | undefined, signal: AbortSignal) {
    this.#store = store;
    this.#most = Math.min(MOST_BYTES, (memory ?? Number.POSITIVE_INFINITY) / 8);
    this.#signal = signal;
  }

  async add(key: Key, value: unknown, bytes: number): Promise<void> {
    this.#entries.push([key, value]);
    this.#length += bytes;
    if (this.#length >= this.#most || this.#entries.length >= MOST_ENTRIES) await this.#append();
  }

  async end(): Promise<void> {
    await this.#append();
    if (this.bytes > 0) await this.#store.flush({ signal: this.#signal });
  }

  async #append(): Promise<void> {
    if (this.#entries.length === 0) return;
    await this.#store.append(this.#entries, { signal: this.#signal });
    this.bytes += this.#length;
    this.#entries = [];
    this.#length = 0;
  }
}

const MOST_BYTES = 16 << 20;
const MOST_ENTRIES = 1 << 16;
