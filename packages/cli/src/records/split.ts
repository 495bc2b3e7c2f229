import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { groupBy, shuffle } from "@partd/shuffle";
import type { Action, Call } from "../command/command.js";
import { UsageError } from "../command/failure.js";
import { showBytes, showCount } from "../command/quantity.js";
import { PartFolder, type Rows } from "../output/part-folder.js";
import { PartNames } from "../output/part-names.js";
import { lineFormat } from "./format.js";
import { RecordRun } from "./record-run.js";
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
  await using run = await RecordRun.open(call, call.arguments, fields);
  const { reader } = run;
  await reader.begin();
  await run.requireSpace(out, 1);
  const without = options.has("drop-key") ? new WithoutFields(reader, fields) : undefined;
  const header = without?.header ?? reader.header;
  const ending = lineFormat(reader.format);
  const partitions = options.number("partitions");
  const name = partitions === undefined ? fields : ["partition"];
  const template =
    options.text("name") ?? `${name.map((field) => `{${field}}`).join("-")}.${ending}`;
  const folder = PartFolder.open(out, {
    append: options.has("append"),
    force: options.has("force"),
    resume: options.has("resume"),
    names: new PartNames(template, name),
    identity: await identityOf(call, run.paths),
    header: header === undefined ? undefined : Buffer.from(header, "latin1"),
    maxBytes: options.number("max-bytes"),
    maxRows: options.number("max-rows"),
  });
  try {
    if (!folder.isPlacing && !folder.isDone) {
      const by = run.keyOf(fields);
      const texts = run.texts(fields);
      const parts =
        partitions === undefined
          ? groupsOf(texts, by, run, fields)
          : partitionsOf(texts, by, run, partitions);
      for await (const { key, batches } of parts) {
        if (folder.has(key)) continue;
        await folder.add(key, rowsOf(batches, without));
        run.show("writing", folder.rows);
      }
    }
    await folder.complete();
  } catch (error) {
    folder.abandon();
    throw error;
  }
  const { files, rows, bytes } = folder;
  if (terminal.json) await terminal.line(JSON.stringify({ files, records: rows, bytes }));
  else
    terminal.note(
      `${showCount(rows)} records in ${showCount(files)} files, ${showBytes(bytes)}, in ${out}`,
    );
  return await run.finish();
};

interface Part {
  readonly key: readonly unknown[];
  readonly batches: AsyncIterable<readonly string[]>;
}

type KeyOf = (text: string) => unknown;

async function* groupsOf(
  texts: AsyncIterable<string>,
  by: KeyOf,
  run: RecordRun,
  fields: readonly string[],
): AsyncGenerator<Part> {
  await using groups = groupBy(texts, { by, ...run.options });
  for await (const group of groups) {
    const key = fields.length === 1 ? [group.key] : (group.key as unknown[]);
    yield { key, batches: group.batches() };
  }
}

async function* partitionsOf(
  texts: AsyncIterable<string>,
  by: KeyOf,
  run: RecordRun,
  partitions: number,
): AsyncGenerator<Part> {
  await using output = shuffle(texts, { by, partitions, ...run.options });
  const digits = Math.max(5, String(partitions - 1).length);
  for await (const partition of output) {
    const key = [`part-${String(partition.index).padStart(digits, "0")}`];
    yield { key, batches: partition.batches() };
  }
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
  const inputs = await Promise.all(
    paths.map(async (path) => {
      if (path === "-") return { path };
      const { size, mtimeMs } = await stat(path);
      return { path: resolve(path), size, mtimeMs };
    }),
  );
  const said = ["name", "from", "missing", "partitions", "max-bytes", "max-rows"].map((name) =>
    options.text(name),
  );
  const flags = ["append", "drop-key"].map((name) => options.has(name));
  return { inputs, by: options.list("by"), said, flags };
}
