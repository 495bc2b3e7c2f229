import { parseFieldPath, parseKeyNumber } from "@partd/records";
import type { Column } from "@partd/records/author";
import { lineOf, membersOf } from "@partd/records/author";
import { type JoinKind, join as joinOf } from "@partd/shuffle";
import type { Action, Call } from "../command/command.js";
import { UsageError } from "../command/failure.js";
import { fieldText, rawField, rawFields, rowOf } from "./csv-rows.js";
import { type Format, formatOfName } from "./format.js";
import { fieldNamed } from "./names.js";
import { keyBy, RecordRun, requireCsv } from "./record-run.js";
import type { RecordSource } from "./record-source.js";
import { recordOf } from "./record-text.js";
import { type RecordShape, RecordWriter, requireNames } from "./record-writer.js";
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
  await using left = await openSide(call, leftInput, leftFields, rightInput);
  await using right = await openSide(call, rightInput, rightFields, leftInput, left);
  requireCsv(call, [left.source.writtenAs, right.source.writtenAs]);
  await left.source.begin();
  await right.source.begin();
  const isSemi = kind === "semi" || kind === "anti";
  const merge = await mergeFor(left.source, right.source, pairs, suffix);
  await using writer = await RecordWriter.open(call, isSemi ? left.source : merge);
  const isMixed = areRows(left.source) !== areRows(right.source);
  const by = isMixed ? keyAsText : (_: RecordSource, fields: readonly string[]) => keyBy(fields);
  const options = { by: by(left.source, leftFields), rightBy: by(right.source, rightFields), kind };
  const common = keepsMissing(call) ? left.runOptions : left.options;
  await using output = joinOf(left.source, right.source, { ...options, ...common });
  for await (const batch of output.batches()) {
    for (const item of batch) {
      if (isSemi) await writer.addText(item as string);
      else {
        const [one, other] = item as [string | undefined, string | undefined];
        await writer.addText(merge.texts(one, other));
      }
    }
  }
  await writer.complete();
  return await left.finish();
};

/** Records without the fields match nothing, unless --missing says what becomes of them. */
function keepsMissing({ options }: Call): boolean {
  return (options.text("missing") ?? "keep") === "keep";
}

/** --from applies to a side whose name tells no format or, if both names tell one, to both sides. */
function openSide(
  call: Call,
  input: string,
  fields: readonly string[],
  other: string,
  beside?: RecordRun,
): Promise<RecordRun> {
  const [own, others] = [formatOfName(input), formatOfName(other)];
  const from = own !== undefined && others === undefined ? own : undefined;
  const required = keepsMissing(call) ? [] : fields;
  const wanted = { asked: fields, required, from, operation: "join", beside } as const;
  return RecordRun.open(call, [input], wanted);
}

/** Whether records are rows of CSV or TSV, in which all values are text. */
function areRows({ delimiter }: RecordSource): boolean {
  return delimiter !== undefined;
}

/** The key of a JSON record for a search among rows: a number or a boolean becomes its JSON text. */
function keyAsText({ values }: RecordSource, fields: readonly string[]): (text: string) => unknown {
  const [only = ""] = fields;
  const part = (text: string, field: string) => {
    const value = values.value(text, field);
    if (typeof value === "boolean") return String(value);
    if (typeof value !== "number") return value;
    if (Math.abs(value) < 2 ** 53) return String(value);
    const written = values.json(text, field) as string;
    return Number.isFinite(value) ? String(parseKeyNumber(written)) : written;
  };
  if (fields.length === 1) return (text) => part(text, only);
  return (text) => fields.map((field) => part(text, field));
}

/** Makes one record of two, without changing how a value is written. */
interface Merge extends RecordShape {
  texts(left: string | undefined, right: string | undefined): string;
}

/** A field of the left and one of the right that have to be equal. */
type Pair = readonly [left: string, right: string];

async function mergeFor(
  left: RecordSource,
  right: RecordSource,
  pairs: readonly Pair[],
  suffix: string,
): Promise<Merge> {
  if (areRows(left) && areRows(right)) return new RowMerge(left, right, pairs, suffix);
  const merge = new LineMerge(left, right, pairs, suffix);
  merge.learn(await firstColumns(left), await firstColumns(right));
  return merge;
}

/** Columns of a table or of rows, or the members of the first JSON records. */
async function firstColumns(source: RecordSource): Promise<readonly Column[]> {
  if (source.columns.length > 0) return source.columns;
  if (areRows(source))
    return columnsOfSource(source, []).map((name) => ({ name, type: undefined }));
  const names = new Set<string>();
  for await (const batch of source.batches()) {
    const scan = source.format.scanner([]).scan(batch);
    for (let i = 0; i < Math.min(scan.count, FIRST_RECORDS); i++) {
      for (const { name } of membersOf(recordOf(scan, i)) ?? []) names.add(name);
    }
    break; // The source starts again with this batch.
  }
  return [...names].map((name) => ({ name, type: undefined }));
}

/**
 * Members of the left, then those of the right; a name that the left has gets a suffix. Rows of CSV
 * that are joined with lines become objects of strings.
 */
class LineMerge implements Merge {
  readonly writtenAs = "ndjson";
  readonly delimiter = undefined;
  readonly format = { header: undefined };
  readonly values = {
    object: (text: string): unknown => JSON.parse(Buffer.from(text, "latin1").toString()),
  };
  /** Names on the left by those on the right, for keys that are members of the record itself. */
  readonly #keys: ReadonlyMap<string, string>;
  readonly #suffix: string;
  readonly #lineOfLeft: (text: string) => Uint8Array;
  readonly #lineOfRight: (text: string) => Uint8Array;
  #columns: readonly Column[] = [];

  constructor(left: RecordSource, right: RecordSource, pairs: readonly Pair[], suffix: string) {
    this.#lineOfLeft = lineMaker(left);
    this.#lineOfRight = lineMaker(right);
    this.#keys = new Map(
      pairs.flatMap(([left, right]) => {
        const [name, ...rest] = parseFieldPath(right) as [string, ...string[]];
        return rest.length === 0 ? [[name, shownField(left)]] : [];
      }),
    );
    this.#suffix = suffix;
  }

  /** The columns of a record for which both sides have all members. */
  get columns(): readonly Column[] {
    return this.#columns;
  }

  learn(left: readonly Column[], right: readonly Column[]): void {
    const renamed = this.#renamed(left, right, left.length > 0);
    this.#columns = [...left, ...renamed.map(([{ type }, name]) => ({ name, type }))];
  }

  texts(left: string | undefined, right: string | undefined): string {
    const leftLine = left === undefined ? Buffer.from("{}") : this.#lineOfLeft(left);
    if (right === undefined) return Buffer.from(leftLine).toString("latin1");
    const rightLine = this.#lineOfRight(right);
    const others = membersOf(rightLine);
    // A record that is not an object has no members, so it has no key and no partner.
    if (others === undefined) return Buffer.from(rightLine).toString("latin1");
    const own = membersOf(leftLine) ?? [];
    const merged: Parameters<typeof lineOf>[0][number][] = own.map((member) => ({
      line: leftLine,
      member,
    }));
    for (const [member, name] of this.#renamed(own, others, left !== undefined)) {
      merged.push({ line: rightLine, member, ...(name === member.name ? {} : { rename: name }) });
    }
    return Buffer.from(lineOf(merged)).toString("latin1");
  }

  /** Members of the right, each with its name in the merged record. */
  #renamed<T extends { readonly name: string }>(
    left: readonly { readonly name: string }[],
    right: readonly T[],
    hasLeft: boolean,
  ): (readonly [member: T, name: string])[] {
    const taken = new Set(left.map(({ name }) => name));
    // Old names to new ones: a name that the record has twice stays one, of which the last counts.
    const given = new Map<string, string>();
    return right.flatMap((member) => {
      const key = this.#keys.get(member.name);
      // The left record has the key already; otherwise it goes by its name there.
      if (key !== undefined && hasLeft) return [];
      let name = given.get(member.name);
      if (name === undefined) {
        name = key ?? member.name;
        while (taken.has(name)) name += this.#suffix;
        taken.add(name);
        given.set(member.name, name);
      }
      return [[member, name] as const];
    });
  }
}

/**
 * Returns a function that makes a line of NDJSON of a record's text.
 *
 * @throws `UsageError` for rows in which two columns have the same name.
 */
function lineMaker(source: RecordSource): (text: string) => Uint8Array {
  if (!areRows(source)) return (text) => Buffer.from(text, "latin1");
  requireNames(source, source.quotes);
  // An object has names that are numbers before all others.
  const names = [...source.names];
  return (text) => Buffer.from(`${JSON.stringify(source.values.object(text), names)}\n`);
}

/** Columns of the left, then those of the right without its keys. */
class RowMerge implements Merge {
  readonly writtenAs: Format;
  readonly delimiter: string;
  readonly format: { readonly header: Uint8Array | undefined };
  /** The columns of rows that get no header. */
  readonly columns: readonly Column[] = [];
  readonly values = { object: (text: string) => this.#object(text) };
  readonly #names: readonly string[];
  readonly #rightDelimiter: string;
  /** Both inputs have them, or none. */
  readonly #quotes: boolean;
  readonly #leftLength: number;
  readonly #rightLength: number;
  /** Key columns of the right, with the left columns that hold the same. */
  readonly #keys: ReadonlyMap<number, number>;

  constructor(left: RecordSource, right: RecordSource, pairs: readonly Pair[], suffix: string) {
    this.writtenAs = left.writtenAs;
    const delimiter = left.delimiter as string;
    this.delimiter = delimiter;
    this.#rightDelimiter = right.delimiter as string;
    this.#quotes = left.quotes;
    const [own, others] = [left, right].map((side, i) =>
      columnsOfSource(
        side,
        pairs.map((pair) => pair[i] as string),
      ),
    ) as [readonly string[], readonly string[]];
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
    const header = names.map((name) => rawField(name, delimiter, this.#quotes));
    const isBare = left.columns.length > 0;
    if (isBare) this.columns = names.map((name) => ({ name, type: undefined }));
    this.format = {
      header: isBare ? undefined : Buffer.from(rowOf(header, delimiter, this.#quotes)),
    };
  }

  #object(text: string): unknown {
    const raw = rawFields(Buffer.from(text, "latin1").toString(), this.delimiter, this.#quotes);
    return Object.fromEntries(
      this.#names.map((name, i) => [name, fieldText(raw[i] as string, this.#quotes)]),
    );
  }

  /** Raw fields of the right, converted to the left's delimiter. */
  #ofLeft(fields: string[]): string[] {
    if (this.#rightDelimiter === this.delimiter) return fields;
    return fields.map((raw) =>
      rawField(fieldText(raw, this.#quotes), this.delimiter, this.#quotes),
    );
  }

  texts(left: string | undefined, right: string | undefined): string {
    const own =
      left === undefined
        ? Array<string>(this.#leftLength).fill("")
        : rawFields(left, this.delimiter, this.#quotes);
    const other =
      right === undefined
        ? Array<string>(this.#rightLength).fill("")
        : this.#ofLeft(rawFields(right, this.#rightDelimiter, this.#quotes));
    if (left === undefined) for (const [at, to] of this.#keys) own[to] = other[at] as string;
    const rest = other.filter((_, i) => !this.#keys.has(i));
    return rowOf([...own, ...rest], this.delimiter, this.#quotes);
  }
}

/** How many JSON records are searched for their members. */
const FIRST_RECORDS = 1000;

/** The index of a field among the columns. It may be written as a path. */
function indexOfField(columns: readonly string[], field: string): number {
  const index = columns.indexOf(field);
  return index < 0 ? columns.indexOf(shownField(field)) : index;
}

/** The columns of rows; for an empty file, which has none, those of `keys`. */
function columnsOfSource({ names }: RecordSource, keys: readonly string[]): readonly string[] {
  return names.length > 0 ? names : keys.map(shownField);
}

/** Parses `A` or `A=B`; an equals sign in a name is `\=`. */
function parsePair(text: string): Pair {
  if (text === "") return ["", ""];
  const [left = "", right = left, ...rest] = text
    .split(/(?<!\\)=/)
    .map((part) => part.replaceAll("\\=", "="));
  if (left === "" || right === "" || rest.length > 0) {
    throw new UsageError(`--on takes FIELD or LEFT=RIGHT, not ${JSON.stringify(text)}`);
  }
  return [fieldNamed(left), fieldNamed(right)];
}
