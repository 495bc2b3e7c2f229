import type { CsvSyntax } from "./csv-matcher.js";

/**
 * Guesses where the first row begins in some bytes that may start anywhere, also inside quotes; -1 for nowhere.
 * Quotes stand where they may only under one of the two assumptions in nearly all files; where they do under
 * both, or there are none, the bytes are taken to start outside.
 */
export function guessRowStart(bytes: Uint8Array, { delimiter }: CsvSyntax): number {
  const outside = firstRowStart(bytes, delimiter, false);
  if (outside.isPlausible) return outside.start;
  const inside = firstRowStart(bytes, delimiter, true);
  return inside.isPlausible ? inside.start : outside.start;
}

function firstRowStart(
  bytes: Uint8Array,
  delimiter: number,
  startsInside: boolean,
): { start: number; isPlausible: boolean } {
  let isInside = startsInside;
  let start = -1;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (isInside) {
      if (byte !== QUOTE) continue;
      const next = bytes[at + 1];
      if (next === QUOTE) at++;
      else if (next === undefined || next === delimiter || next === LF || next === CR) {
        isInside = false;
      } else return { start, isPlausible: false };
    } else if (byte === LF) {
      if (start < 0) start = at + 1;
    } else if (byte === QUOTE) {
      const before = at === 0 ? LF : bytes[at - 1];
      if (before !== delimiter && before !== LF) return { start, isPlausible: false };
      isInside = true;
    }
  }
  return { start, isPlausible: true };
}

const LF = 0x0a;
const CR = 0x0d;
const QUOTE = 0x22;
