import { PartdError } from "@partd/core";

/**
 * Throws where JSON.parse changed a number of `text`: an integer that no double is, or a number
 * beyond all doubles.
 *
 * @param bytes the text in UTF-8.
 * @throws `ERR_PARTD_CODEC` with the number and its place in the frame.
 */
export function checkNumbers(text: string, bytes: Uint8Array): void {
  if (!mayHaveLongNumber(text, bytes)) return;
  for (const { index, 0: token } of text.matchAll(TOKEN)) {
    if (token[0] !== '"' && !isExact(token)) {
      throw new PartdError(
        "ERR_PARTD_CODEC",
        `the number ${shorten(token)} at character ${index} of the frame would be ${Number(token)} here; ${INTEGER.test(token) ? 'read with { integers: "auto" } to have it as a BigInt' : "write it as text"}.`,
      );
    }
  }
}

/** JSON.parse with BigInts for integers that a number would round, or for all of them. */
export function parseExact(text: string, bytes: Uint8Array, integers: "auto" | "bigint"): unknown {
  if (integers === "auto" && !mayHaveLongNumber(text, bytes)) return JSON.parse(text);
  JSON.parse(text); // Finds what is no JSON, before anything in it is replaced.
  const mark = markFor(text);
  let marked = false;
  const replaced = text.replace(TOKEN, (token) => {
    if (token[0] === '"') return token;
    if (!INTEGER.test(token)) {
      if (Number.isFinite(Number(token))) return token;
      throw new PartdError(
        "ERR_PARTD_CODEC",
        `the number ${shorten(token)} is beyond what a number holds; write it as text.`,
      );
    }
    if (integers === "auto" && Number.isSafeInteger(Number(token))) return token;
    marked = true;
    return `"${mark}${token}"`;
  });
  const value: unknown = JSON.parse(replaced);
  return marked ? unmark(value, mark) : value;
}

/** JSON.stringify with BigInts as integers. */
export function stringifyExact(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
  }
  // Drawn by chance, so that no text of the data can be taken for a BigInt.
  const mark = `${randomText()}:`;
  const text = JSON.stringify(value, (_, item: unknown) =>
    typeof item === "bigint" ? `${mark}${item}` : item,
  );
  return text?.replaceAll(new RegExp(`"${mark}(-?\\d+)"`, "g"), "$1");
}

/** Whether a number may stand in the text that is rounded or infinite: it is long, or has a high exponent. */
function mayHaveLongNumber(text: string, bytes: Uint8Array): boolean {
  return HIGH_EXPONENT.test(text) || hasLongRun(bytes);
}

const HIGH_EXPONENT = /\d[eE]\+?\d{3}/;

/**
 * Whether there is a run of 16 digits or more that is no fraction. Each such run has a digit at one
 * of any 16 places, so that a look at a sixteenth of the bytes is enough: a fiftieth of JSON.parse,
 * where a regular expression takes a fifth.
 */
function hasLongRun(bytes: Uint8Array): boolean {
  const { length } = bytes;
  for (let i = 15; i < length; i += 16) {
    if (((bytes[i] as number) - ZERO) >>> 0 > 9) continue;
    let start = i;
    while (start > 0 && ((bytes[start - 1] as number) - ZERO) >>> 0 <= 9) start--;
    let end = i + 1;
    while (end < length && ((bytes[end] as number) - ZERO) >>> 0 <= 9) end++;
    if (end - start >= 16 && bytes[start - 1] !== POINT) return true;
    i += Math.floor((end - i - 1) / 16) * 16;
  }
  return false;
}

const ZERO = 48;
const POINT = 46;

/** Strings and numbers, the only tokens of JSON in which digits stand. */
const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const INTEGER = /^-?\d+$/;

/** JSON.stringify writes an integer beyond 2^53 as its shortest digits and zeros: that is exact too. */
function isExact(token: string): boolean {
  const value = Number(token);
  if (!INTEGER.test(token)) return Number.isFinite(value);
  if (Number.isSafeInteger(value) || String(value) === token) return true;
  return Number.isFinite(value) && BigInt(value) === BigInt(token);
}

function markFor(text: string): string {
  for (;;) {
    const mark = `${randomText()}:`;
    if (!text.includes(mark)) return mark;
  }
}

function randomText(): string {
  return Math.random().toString(36).slice(2) + Math.random().toString(36).slice(2);
}

/** Puts BigInts for the marked strings, in place. */
function unmark(root: unknown, mark: string): unknown {
  const holder: unknown[] = [root];
  const waiting: object[] = [holder];
  for (let object = waiting.pop(); object !== undefined; object = waiting.pop()) {
    for (const [name, value] of Object.entries(object)) {
      if (typeof value === "object" && value !== null) waiting.push(value);
      else if (typeof value === "string" && value.startsWith(mark)) {
        Object.defineProperty(object, name, {
          ...WRITABLE,
          value: BigInt(value.slice(mark.length)),
        });
      }
    }
  }
  return holder[0];
}

const WRITABLE = { configurable: true, enumerable: true, writable: true };

function shorten(token: string): string {
  return token.length > 40 ? `${token.slice(0, 40)}… (${token.length} digits)` : token;
}
