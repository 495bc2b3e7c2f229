import { stat } from "node:fs/promises";
import { PartdError } from "@partd/core";
import type { RecordsPart, RecordsSplitOptions } from "../records.js";
import { ioError, openFile, openReader } from "./byte-reader.js";
import { cutBatches } from "./cut-batches.js";
import type { TextFormat } from "./text-format.js";

/**
 * Cuts plain files at record boundaries into at most `n` parts of about the same size, in order.
 * `undefined` if one is compressed or not a regular file.
 */
export async function splitPaths<R>(
  paths: readonly string[],
  n: number,
  format: TextFormat<R>,
  { guess = false }: RecordsSplitOptions = {},
): Promise<RecordsPart[] | undefined> {
  if (!Number.isInteger(n) || n < 1) {
    throw new PartdError("ERR_PARTD_VALUE", "The number of parts is a whole number from 1 on.");
  }
  const sizes: number[] = [];
  for (const path of paths) {
    const reader = await openReader({ path });
    await reader.close();
    if (!reader.isPlainFile) return undefined;
    sizes.push((await stat(path)).size);
  }
  const partSize = Math.max(1, Math.ceil(sizes.reduce((a, b) => a + b, 0) / n));
  const parts: RecordsPart[] = [];
  let before = 0;
  for (const [i, path] of paths.entries()) {
    const size = sizes[i]!;
    const targets: number[] = [];
    for (let k = Math.floor(before / partSize) + 1; k * partSize < before + size; k++) {
      targets.push(k * partSize - before);
    }
    const isGuess = guess && !format.endsAtNewline;
    const cut = format.endsAtNewline ? cutsAtNewlines : isGuess ? guessedCuts : cutsInOrder;
    const cuts = [...(await cut(path, size, targets, format)), size];
    for (let c = 0; c + 1 < cuts.length; c++) {
      const [start, end] = [cuts[c]!, cuts[c + 1]!];
      if (start === end) continue;
      parts.push({ path, start, end, isGuess: isGuess && c > 0, format: format.describe() });
    }
    before += size;
  }
  return parts;
}

type Cuts<R> = (
  path: string,
  size: number,
  targets: readonly number[],
  format: TextFormat<R>,
) => Promise<number[]>;

/** Cuts after the first newline that follows each target. */
const cutsAtNewlines: Cuts<unknown> = async (path, size, targets) => {
  const cuts = [0];
  const piece = new Uint8Array(1 << 16);
  const file = await openFile(path);
  try {
    for (const target of targets) {
      let at = Math.max(target - 1, cuts.at(-1)!);
      for (;;) {
        const { bytesRead } = await file
          .read(piece, 0, piece.length, at)
          .catch((cause: unknown) => {
            throw ioError(path, cause);
          });
        const newline = piece.subarray(0, bytesRead).indexOf(LF);
        at += newline < 0 ? bytesRead : newline + 1;
        if (newline >= 0 || bytesRead === 0) break;
      }
      cuts.push(Math.min(at, size));
    }
  } finally {
    await file.close();
  }
  return cuts;
};

const LF = 0x0a;

/** Cuts where a record seems to begin. The first one stands behind the header, and is no guess. */
const guessedCuts: Cuts<unknown> = async (path, size, targets, format) => {
  const [first = size] = await cutsInOrder(path, size, [], format);
  const cuts = [first];
  const window = new Uint8Array(GUESS_WINDOW);
  const file = await openFile(path);
  try {
    for (const target of targets) {
      if (target < first) continue;
      const { bytesRead } = await file
        .read(window, 0, window.length, target)
        .catch((cause: unknown) => {
          throw ioError(path, cause);
        });
      const start = format.guessStart!(window.subarray(0, bytesRead));
      if (start >= 0 && target + start > cuts.at(-1)! && target + start < size) {
        cuts.push(target + start);
      }
    }
  } finally {
    await file.close();
  }
  return cuts;
};

/** Some rows. Where there is no newline, a cut is left out. */
const GUESS_WINDOW = 1 << 13;

/** Cuts by reading from the beginning: only then is it known which newlines are inside quotes. */
const cutsInOrder: Cuts<unknown> = async (path, size, targets, format) => {
  const cuts: number[] = [];
  const reader = await openReader({ path });
  try {
    const batches = cutBatches(reader, format.cutter(), {
      batchBytes: 1 << 18,
      longestRecord: 2 ** 30,
      longestRecordAdvice: undefined,
      signal: undefined,
      byteOffset: 0,
      hasLines: true,
      consumed: 0,
      preamble: (batch) => format.preamble(batch),
    });
    for await (const { position } of batches) {
      if (cuts.length === 0) cuts.push(position.byteOffset);
      else if (position.byteOffset >= targets[cuts.length - 1]!) cuts.push(position.byteOffset);
      if (cuts.length > targets.length) break;
    }
  } finally {
    await reader.close();
  }
  return cuts.length === 0 ? [size] : cuts;
};
