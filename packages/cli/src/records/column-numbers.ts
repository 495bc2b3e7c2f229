import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { readCsv } from "@partd/records";
import { UsageError } from "../command/failure.js";
import { standardInput } from "../terminal/terminal.js";
import { columnsOf } from "./csv-rows.js";
import type { SourceOptions } from "./record-source.js";

/**
 * Names for the columns of inputs without a header: 1, 2, 3 …, as many as the first row has fields. The first row
 * of a pipe is read for that, so the input comes back whole.
 *
 * @throws `UsageError` for a pipe among several inputs.
 */
export async function namesByNumber(
  paths: readonly string[],
  options: { readonly delimiter: string; readonly quote: boolean },
  signal: AbortSignal,
): Promise<Pick<SourceOptions, "names" | "input">> {
  for (const path of paths) {
    if (path !== "-" && (await stat(path)).isFile()) {
      const count = await firstWidth(path, options);
      if (count > 0) return { names: numbers(count), input: undefined };
      continue;
    }
    if (paths.length > 1) throw new UsageError(`--no-header: ${path} is a pipe, and is read alone`);
    const stream = path === "-" ? standardInput(signal) : createReadStream(path, { signal });
    const rest = stream[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
    const begun: Uint8Array[] = [];
    async function* noted(): AsyncGenerator<Uint8Array> {
      for (let next = await rest.next(); !next.done; next = await rest.next()) {
        begun.push(next.value);
        yield next.value;
      }
    }
    async function* all(): AsyncGenerator<Uint8Array> {
      yield* begun.splice(0);
      for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
    }
    return { names: numbers(await firstWidth(noted(), options)), input: all() };
  }
  return { names: [], input: undefined };
}

/** How many fields the first row has; 0 if there is none. */
async function firstWidth(
  source: string | AsyncIterable<Uint8Array>,
  { delimiter, quote }: { readonly delimiter: string; readonly quote: boolean },
): Promise<number> {
  const rows = readCsv(source, { delimiter, quote, onReject: () => undefined });
  for await (const _ of rows.batches()) break;
  const first = Buffer.from(rows.format.header ?? []).toString("latin1");
  return first === "" ? 0 : columnsOf(first, delimiter, quote).length;
}

function numbers(count: number): string[] {
  return Array.from({ length: count }, (_, i) => String(i + 1));
}
