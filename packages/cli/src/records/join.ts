import { parseFieldPath } from "@partd/records";
import { type JoinKind, join as joinOf } from "@partd/shuffle";
import type { Action, Call } from "../command/command.js";
import { UsageError } from "../command/failure.js";
import { columnsOf, fieldText, rawField, rawFields } from "./csv-row.js";
import { delimiterOf, type Format } from "./format.js";
import { lineOf, membersOf } from "./json-members.js";
import { keyBy, RecordRun } from "./record-run.js";
import type { RecordSource } from "./record-source.js";
import { type RecordShape, RecordWriter } from "./record-writer.js";
import { shownField } from "./result-names.js";

/** `partd join`. */
export const join: Action = async (call) => {
  const [leftInput = "", rightInput = ""] = call.arguments;
  const pairs = call.options.list("on").map(parsePair);
  if (pairs.length === 0) throw new UsageError("join needs --on FIELD");
  const [leftFields, rightFields] = [pairs.map(([left]) => left), pairs.map(([, right]) => right)];
  const kind = (call.options.text("type") ?? "inner") as JoinKind;
  const suffix = call.options.text("suffix") ?? "_right";
  if (suffix === "") throw new UsageError("--suffix takes a text that is not empty");
  if (leftInput === "-" && rightInput === "-") {
    throw new UsageError("standard input (-) can be read only once");
  }
  await using left = await openSide(call, leftInput, leftFields);
  await using right = await openSide(call, rightInput, rightFields);
  if (left.source.writtenAs !== right.source.writtenAs) {
    throw new UsageError(
      `${leftInput} is ${left.source.writtenAs} and ${rightInput} is ${right.source.writtenAs}: a join takes two of one format`,
    );
  }
  await left.source.begin();
  await right.source.begin();
  const isSemi = kind === "semi" || kind === "anti";
  const merge = mergeFor(left.source, right.source, pairs, suffix);
  await using writer = await RecordWriter.open(call, isSemi ? left.source : merge);
  const options = { by: keyBy(leftFields), rightBy: keyBy(rightFields), kind };
  await using output = joinOf(left.source, right.source, { ...options, ...left.options });
  for await (const batch of output.batches()) {
    for (const item of batch) {
      if (isSemi) await writer.text(item as string);
      else {
        const [one, other] = item as [string | undefined, string | undefined];
        await writer.text(merge.texts(one, other));
      }
    }
  }
  await writer.complete();
  return (await left.finish()) ?? (await right.finish());
};

function openSide(call: Call, input: string, fields: readonly string[]): Promise<RecordRun> {
  return RecordRun.open(call, [input], { asked: fields, required: [] });
}

/** Makes one record of two, without writing a value anew. */
interface Merge extends RecordShape {
  texts(left: string | undefined, right: string | undefined): string;
}

/** Fields of the left and of the right that are to be equal. */
type Pair = readonly [left: string, right: string];

function mergeFor(
  left: RecordSource,
  right: RecordSource,
  pairs: readonly Pair[],
  suffix: string,
): Merge {
  const delimiter = delimiterOf(left.writtenAs);
  return delimiter === undefined
    ? new LineMerge(pairs, suffix)
    : new RowMerge(left, right, pairs, suffix, delimiter);
}

/** Members of the left, then those of the right that the left has not; others get a suffix. */
class LineMerge implements Merge {
  readonly writtenAs = "ndjson";
  readonly format = { header: undefined };
  readonly values = {
    object: (text: string): unknown => JSON.parse(Buffer.from(text, "latin1").toString()),
  };
  /** Names of the left by those of the right, for keys that are a record's own members. */
  readonly #keys: ReadonlyMap<string, string>;
  readonly #suffix: string;

  constructor(pairs: readonly Pair[], suffix: string) {
    this.#keys = new Map(
      pairs.flatMap(([left, right]) => {
        const [name, ...rest] = parseFieldPath(right) as [string, ...string[]];
        return rest.length === 0 ? [[name, shownField(left)]] : [];
      }),
    );
    this.#suffix = suffix;
  }

  texts(left: string | undefined, right: string | undefined): string {
    if (right === undefined) return left as string;
    const leftLine = Buffer.from(left ?? "{}", "latin1");
    const rightLine = Buffer.from(right, "latin1");
    const own = membersOf(leftLine) ?? [];
    const taken = new Set(own.map(({ name }) => name));
    const merged: Parameters<typeof lineOf>[0][number][] = own.map((member) => ({
      line: leftLine,
      member,
    }));
    for (const member of membersOf(rightLine) ?? []) {
      const key = this.#keys.get(member.name);
      // The key stands in the left record already, or else goes by its name there.
      if (key !== undefined && left !== undefined) continue;
      let name = key ?? member.name;
      while (taken.has(name)) name += this.#suffix;
      taken.add(name);
      merged.push({ line: rightLine, member, ...(name === member.name ? {} : { rename: name }) });
    }
    return Buffer.from(lineOf(merged)).toString("latin1");
  }
}

/** Columns of the left, then those of the right but for its keys. */
class RowMerge implements Merge {
  readonly writtenAs: Format;
  readonly format: { readonly header: Uint8Array };
  readonly values = { object: (text: string) => this.#object(text) };
  readonly #names: readonly string[];
  readonly #delimiter: string;
  readonly #leftLength: number;
  readonly #rightLength: number;
  /** Columns of the right that are its keys, with the columns of the left where they stand. */
  readonly #keys: ReadonlyMap<number, number>;

  constructor(
    left: RecordSource,
    right: RecordSource,
    pairs: readonly Pair[],
    suffix: string,
    delimiter: string,
  ) {
    this.writtenAs = left.writtenAs;
    this.#delimiter = delimiter;
    const [own, others] = [left, right].map((side, i) =>
      columnsOfSource(
        side,
        delimiter,
        pairs.map((pair) => pair[i] as string),
      ),
    ) as [string[], string[]];
    this.#leftLength = own.length;
    this.#rightLength = others.length;
    this.#keys = new Map(
      pairs.map(([one, other]) => [indexOfField(others, other), indexOfField(own, one)]),
    );
    const taken = new Set(own);
    const names = [...own];
    for (const [i, column] of others.entries()) {
      if (this.#keys.has(i)) continue;
      let name = column;
      while (taken.has(name)) name += suffix;
      taken.add(name);
      names.push(name);
    }
    this.#names = names;
    const header = `${names.map((name) => rawField(name, delimiter)).join(delimiter)}\n`;
    this.format = { header: Buffer.from(header) };
  }

  #object(text: string): unknown {
    const raw = rawFields(Buffer.from(text, "latin1").toString(), this.#delimiter);
    return Object.fromEntries(this.#names.map((name, i) => [name, fieldText(raw[i] as string)]));
  }

  texts(left: string | undefined, right: string | undefined): string {
    const own =
      left === undefined
        ? Array<string>(this.#leftLength).fill("")
        : rawFields(left, this.#delimiter);
    const other =
      right === undefined
        ? Array<string>(this.#rightLength).fill("")
        : rawFields(right, this.#delimiter);
    if (left === undefined) for (const [at, to] of this.#keys) own[to] = other[at] as string;
    const rest = other.filter((_, i) => !this.#keys.has(i));
    return `${[...own, ...rest].join(this.#delimiter)}\n`;
  }
}

/** Where a field stands among the columns: it may be written as a path. */
function indexOfField(columns: readonly string[], field: string): number {
  const index = columns.indexOf(field);
  return index < 0 ? columns.indexOf(shownField(field)) : index;
}

/** The columns of the header; of an empty file, which has none, those of `keys`. */
function columnsOfSource(
  { format }: RecordSource,
  delimiter: string,
  keys: readonly string[],
): string[] {
  const header = Buffer.from(format.header ?? []).toString("latin1");
  return header === "" ? keys.map(shownField) : columnsOf(header, delimiter);
}

/** `A` or `A=B`; an equals sign of a name is `\=`. */
function parsePair(text: string): Pair {
  const [left = "", right = left, ...rest] = text
    .split(/(?<!\\)=/)
    .map((part) => part.replaceAll("\\=", "="));
  if (left === "" || right === "" || rest.length > 0) {
    throw new UsageError(`--on takes FIELD or LEFT=RIGHT, not ${JSON.stringify(text)}`);
  }
  return [left, right];
}
