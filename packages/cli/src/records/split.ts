import { availableParallelism } from "node:os";
import { parseFieldPath } from "@partd/records";
import { withoutMembers } from "@partd/records/author";
import { groupBy, shuffle, split as splitTo } from "@partd/shuffle";
import type { Action, Call } from "../command/command.js";
import { UsageError } from "../command/failure.js";
import { showBytes, showMany } from "../command/quantity.js";
import { openFileLimit } from "../machine/open-files.js";
import { PartFolder, type Rows } from "../output/part-folder.js";
import { PartNames } from "../output/part-names.js";
import { rawFields, rowOf } from "./csv-rows.js";
import { requireNameOf } from "./format.js";
import { statesOf } from "./inputs.js";
import { keyBy, partsOf, RecordRun } from "./record-run.js";
import type { RecordSource } from "./record-source.js";
import type { RecordBatches } from "./record-writer.js";

/** `partd split`. */
export const split: Action = async (call) => {
  const { options } = call;
  const fields = [...new Set(options.list("by"))];
  const out = options.text("out");
  if (fields.length === 0) throw new UsageError("split needs --by FIELD");
  if (out === undefined) throw new UsageError("split needs --out DIRECTORY");
  if (options.has("append") && (options.has("max-bytes") || options.has("max-rows"))) {
    throw new UsageError("--append and --max-bytes or --max-rows do not go together");
  }
  const wanted = { asked: fields, required: fields, isWithin: options.has("partitions") };
  return RecordRun.do(call, wanted, (run) => {
    return writeParts(call, run, fields, out);
  });
};

async function writeParts(
  call: Call,
  run: RecordRun,
  fields: readonly string[],
  out: string,
): Promise<void> {
  const { options, terminal } = call;
  const { source } = run;
  const partitions = options.number("partitions");
  const names = partNames(call, source, partitions === undefined ? fields : ["partition"]);
  await source.begin();
  await run.requireSpace(out, 1);
  const without = options.has("drop-key") ? new WithoutFields(source, fields) : undefined;
  const header = without === undefined ? source.format.header : without.header;
  const folder = PartFolder.open(out, {
    append: options.has("append"),
    force: options.has("force"),
    resume: options.has("resume"),
    names,
    identity: await identityOf(call, run.paths),
    header: typeof header === "string" ? Buffer.from(header, "latin1") : header,
    maxBytes: options.number("max-bytes"),
    maxRows: options.number("max-rows"),
  });
  const isCut = without !== undefined || options.has("max-bytes") || options.has("max-rows");
  const isScattered =
    partitions !== undefined &&
    !isCut &&
    !options.has("append") &&
    mayScatter(partitions, options.number("threads"));
  try {
    if (folder.isPlacing || folder.isDone) {
      // Only placing is left.
    } else if (isScattered && folder.files === 0) {
      await scatter(run, fields, partitions, options.number("threads"), folder);
    } else {
      for await (const { key, records } of partitions === undefined
        ? groups(run, fields)
        : parts(run, fields, partitions)) {
        if (folder.has(key)) continue;
        await folder.add(key, isCut ? rowsOf(records.batches(), without) : whole(records.bytes()));
        run.show("writing");
      }
    }
    await folder.complete();
  } catch (error) {
    if (folder.abandon()) {
      terminal.note("what is complete is kept: --resume goes on with it, --force starts anew");
    }
    throw error;
  }
  await report(call, run, folder);
}

/**
 * The names of the output files.
 *
 * @throws `UsageError` for a template whose ending names another format than that of the inputs.
 */
function partNames({ options }: Call, source: RecordSource, fields: readonly string[]): PartNames {
  const template = options.text("name");
  // A field's name may have braces.
  if (template === undefined) return new PartNames({ ending: `.${source.writtenAs}` }, fields);
  requireNameOf(source.writtenAs, template, "--name");
  return new PartNames(template, fields);
}

async function report(
  { options, terminal }: Call,
  run: RecordRun,
  { files, bytes }: PartFolder,
): Promise<void> {
  const records = run.kept;
  if (terminal.json) await terminal.line(JSON.stringify({ files, records, bytes }));
  else {
    terminal.note(
      `${showMany(records, "record")} in ${showMany(files, "file")}, ${showBytes(bytes)}, in ${options.text("out")}`,
    );
  }
}

/**
 * Writes records straight to the files of their partitions, all of which are open, with as many threads
 * as pay.
 */
async function scatter(
  run: RecordRun,
  fields: readonly string[],
  partitions: number,
  threads: number | undefined,
  folder: PartFolder,
): Promise<void> {
  const where = { into: folder.draft, extension: "" };
  await splitTo(run.source, { by: keyBy(fields), partitions, threads, ...where, ...run.options });
  for (let index = 0; index < partitions; index++) {
    folder.adopt(partitionKey(index, partitions), String(index));
  }
}

/** Whether the files of so many partitions may all be open. */
function mayScatter(partitions: number, threads = Math.min(8, availableParallelism())): boolean {
  if (partitions > MOST_AT_ONCE) return false;
  const others = OTHER_FILES + THREAD_FILES * threads;
  return partitions + others <= (openFileLimit() ?? MOST_OPEN);
}

/** The most files that @partd/shuffle opens at once. */
const MOST_AT_ONCE = 512;

/** The limit of open files if the system does not tell it. */
const MOST_OPEN = 4096;

/** Files that a process has open anyway. */
const OTHER_FILES = 32;

/** Files that a thread has open: the input, and what Node needs to wait in it. */
const THREAD_FILES = 8;

interface Part {
  readonly key: readonly unknown[];
  readonly records: RecordBatches;
}

async function* groups(run: RecordRun, fields: readonly string[]): AsyncGenerator<Part> {
  await using output = groupBy(run.source, { by: keyBy(fields), ...run.options });
  for await (const group of output) yield { key: partsOf(group.key, fields), records: group };
}

async function* parts(
  run: RecordRun,
  fields: readonly string[],
  partitions: number,
): AsyncGenerator<Part> {
  await using output = shuffle(run.source, { by: keyBy(fields), partitions, ...run.options });
  for await (const partition of output) {
    yield { key: partitionKey(partition.index, partitions), records: partition };
  }
}

function partitionKey(index: number, partitions: number): readonly unknown[] {
  const digits = Math.max(5, String(partitions - 1).length);
  return [`part-${String(index).padStart(digits, "0")}`];
}

/** Pieces of whole records that need not be separated. */
async function* whole(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Rows> {
  for await (const bytes of pieces) yield { bytes, ends: [bytes.length] };
}

async function* rowsOf(
  batches: AsyncIterable<readonly string[]>,
  without: WithoutFields | undefined,
): AsyncGenerator<Rows> {
  for await (const batch of batches) {
    const texts = without === undefined ? batch : batch.map((text) => without.of(text));
    let end = 0;
    const ends = texts.map((text) => {
      end += text.length;
      return end;
    });
    yield { bytes: Buffer.from(texts.join(""), "latin1"), ends };
  }
}

/** Two runs are the same work if these are equal. */
async function identityOf({ options }: Call, paths: readonly string[]): Promise<unknown> {
  const inputs = await statesOf(paths);
  const said = ["name", "from", "delimiter", "missing", "partitions", "max-bytes", "max-rows"].map(
    (name) => options.text(name),
  );
  const flags = ["append", "drop-key", "no-header", "no-quotes"].map((name) => options.has(name));
  return { inputs, by: options.list("by"), said, flags };
}

/** Leaves fields out of records; the rest stays byte for byte. */
class WithoutFields {
  readonly header: string | undefined;
  readonly #names: ReadonlySet<string>;
  readonly #delimiter: string | undefined;
  readonly #quotes: boolean;
  /** The indices of the columns that stay. */
  readonly #kept: readonly number[];

  /** @throws `UsageError` for a field within an object: only a record's own members can be left out. */
  constructor(source: RecordSource, fields: readonly string[]) {
    this.#delimiter = source.delimiter;
    this.#quotes = source.quotes;
    const header = source.format.header && Buffer.from(source.format.header).toString("latin1");
    const columns = source.names;
    const names = fields.map((field) => {
      if (columns.includes(field)) return field;
      const [own, ...rest] = parseFieldPath(field) as [string, ...string[]];
      if (rest.length > 0) throw new UsageError(`--drop-key cannot take ${field} out of an object`);
      return own;
    });
    this.#names = new Set(names);
    this.#kept = [...columns.keys()].filter((i) => !this.#names.has(columns[i] as string));
    this.header = header === undefined ? undefined : this.of(header);
  }

  /** @param text each character is a byte. */
  of(text: string): string {
    if (this.#delimiter === undefined) {
      return Buffer.from(withoutMembers(Buffer.from(text, "latin1"), this.#names)).toString(
        "latin1",
      );
    }
    const fields = rawFields(text, this.#delimiter, this.#quotes);
    return rowOf(
      this.#kept.map((i) => fields[i] as string),
      this.#delimiter,
      this.#quotes,
      text,
    );
  }
}
