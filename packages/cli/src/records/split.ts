import { groupBy, shuffle } from "@partd/shuffle";
import type { Action, Call } from "../command/command.js";
import { UsageError } from "../command/failure.js";
import { showBytes, showMany } from "../command/quantity.js";
import { PartFolder, type Rows } from "../output/part-folder.js";
import { PartNames } from "../output/part-names.js";
import { formatOfName } from "./format.js";
import { statesOf } from "./inputs.js";
import { keyBy, partsOf, RecordRun } from "./record-run.js";
import type { RecordBatches } from "./record-writer.js";
import { WithoutFields } from "./without-fields.js";

/** `partd split`. */
export const split: Action = async (call) => {
  const { options, terminal } = call;
  const fields = options.list("by");
  const out = options.text("out");
  if (fields.length === 0) throw new UsageError("split needs --by FIELD");
  if (out === undefined) throw new UsageError("split needs --out DIRECTORY");
  if (options.has("append") && (options.has("max-bytes") || options.has("max-rows"))) {
    throw new UsageError("--append and --max-bytes or --max-rows do not go together");
  }
  await using run = await RecordRun.open(call, call.arguments, { asked: fields, required: fields });
  const { source } = run;
  const partitions = options.number("partitions");
  const name = partitions === undefined ? fields : ["partition"];
  const template =
    options.text("name") ?? `${name.map((field) => `{${field}}`).join("-")}.${source.writtenAs}`;
  if (/\.(?:gz|gzip|zst|zstd|parquet|arrow)$/i.test(template)) {
    throw new UsageError(
      `--name ${template}: the files are written as the inputs are, and unpacked`,
    );
  }
  const named = formatOfName(template);
  if (named !== undefined && named !== source.writtenAs) {
    throw new UsageError(
      `--name ${template}: the files are ${source.writtenAs}; end it in .${source.writtenAs}`,
    );
  }
  const names = new PartNames(template, name);
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
  try {
    if (!folder.isPlacing && !folder.isDone) {
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
  const { files, bytes } = folder;
  if (terminal.json) await terminal.line(JSON.stringify({ files, records: source.records, bytes }));
  else {
    terminal.note(
      `${showMany(source.records, "record")} in ${showMany(files, "file")}, ${showBytes(bytes)}, in ${out}`,
    );
  }
  return await run.finish();
};

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
  const digits = Math.max(5, String(partitions - 1).length);
  for await (const partition of output) {
    yield { key: [`part-${String(partition.index).padStart(digits, "0")}`], records: partition };
  }
}

/** Pieces of whole records that need not be told apart. */
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

/** What makes two runs the same work. */
async function identityOf({ options }: Call, paths: readonly string[]): Promise<unknown> {
  const inputs = await statesOf(paths);
  const said = ["name", "from", "missing", "partitions", "max-bytes", "max-rows"].map((name) =>
    options.text(name),
  );
  const flags = ["append", "drop-key"].map((name) => options.has(name));
  return { inputs, by: options.list("by"), said, flags };
}
