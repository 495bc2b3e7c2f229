import { createReadStream } from "node:fs";
import type { Store } from "@partd/core";
import type { Action } from "../command/command.js";
import { Failure, UsageError } from "../command/failure.js";
import { showBytes } from "../command/quantity.js";
import { standardInput } from "../terminal/terminal.js";
import { openDataSet } from "./data-set.js";
import { parseKey, showKey } from "./key-text.js";
import { buildTower, requireAppendable } from "./tower.js";

/** `partd append`. */
export const append: Action = async (call) => {
  const { options, terminal, signal } = call;
  const [, ...words] = call.arguments;
  const fields = options.list("by");
  if (fields.length > 0) {
    const { appendBy } = await import("./append-by.js"); // Only --by needs what reads records.
    return appendBy(call, words, fields);
  }
  const [word, ...files] = words;
  if (word === undefined) {
    throw new UsageError("append needs a KEY, or --by FIELD that says each record's key");
  }
  const stray = OPTIONS_OF_BY.find((name) => options.has(name));
  if (stray !== undefined) throw new UsageError(`--${stray} goes with --by FIELD`);
  const key = parseKey(word, options.has("literal"));
  const most = options.number("max-bytes") ?? 2 ** 28;
  // Read and check all input before anything is created or changed.
  const inputs = [];
  let bytes = 0;
  const paths = files.length > 0 ? files : ["-"];
  if (paths.includes("-")) terminal.noteTyping();
  for (const path of paths) {
    const input = await readInput(path, most - bytes, signal);
    bytes += input.byteLength;
    inputs.push({ name: path === "-" ? "standard input" : path, bytes: input });
  }
  const codec = options.text("codec");
  const value = toValue(inputs, codec);
  if (bytes === 0) {
    terminal.note(
      `the input is empty: nothing was appended to ${showKey(key)}; files come after the key`,
    );
    return undefined;
  }
  await using dataSet = await openDataSet(call, { create: true, fsync: options.has("fsync") });
  const { store } = await buildTower(dataSet.store, options);
  await (store as Store<unknown>).append([[key, value]], { signal });
  await store.flush({ signal });
  if (terminal.json) await terminal.line(JSON.stringify({ key: word, appended: bytes }));
  else terminal.note(`appended ${showBytes(bytes)} to ${showKey(key)}`);
  return undefined;
};

/** Options that only records by key have a use for. */
const OPTIONS_OF_BY: readonly string[] = [
  ...["from", "delimiter", "no-header", "no-quotes"],
  ...["missing", "reject", "force", "memory", "tmp"],
];

interface Input {
  readonly name: string;
  readonly bytes: Uint8Array;
}

async function readInput(path: string, most: number, signal: AbortSignal): Promise<Uint8Array> {
  const stream = path === "-" ? standardInput(signal) : createReadStream(path, { signal });
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const piece of stream) {
      signal.throwIfAborted();
      bytes += piece.length;
      if (bytes > most) {
        throw new Failure(
          "the input is more than one append takes; raise --max-bytes, or append it in parts (split -l makes some)",
        );
      }
      pieces.push(piece);
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") throw new UsageError(`there is no file ${path}`);
    if (code === "EISDIR") throw new UsageError(`${path} is a directory, not a file`);
    throw error;
  }
  return Buffer.concat(pieces);
}

/** Makes the inputs the value that the codec appends. @throws `Failure` for text that the codec does not take. */
function toValue(inputs: readonly Input[], codec: string | undefined): unknown {
  if (codec === undefined) return Buffer.concat(inputs.map(({ bytes }) => bytes));
  if (codec === "text") return inputs.map(text).join("");
  if (codec === "lines") return inputs.flatMap((input) => linesOf(text(input)));
  requireAppendable(codec);
  return inputs.flatMap((input) =>
    linesOf(text(input).replace(/^\ufeff/, "")).flatMap((line, i) => {
      if (line.trim() === "") return [];
      try {
        return [JSON.parse(line)];
      } catch (error) {
        throw new Failure(
          `${input.name}:${i + 1}: not a JSON value: ${(error as Error).message}\n       ${shorten(line)}`,
        );
      }
    }),
  );
}

function text({ name, bytes }: Input): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Failure(`${name} is not UTF-8 text`);
  }
}

function linesOf(input: string): string[] {
  const lines = input.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

/** A line for an error message: its first 100 characters. */
function shorten(line: string): string {
  return line.length <= 100 ? line : `${line.slice(0, 99)}…`;
}
