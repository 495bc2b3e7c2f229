import { PartdError } from "@partd/core";

/**
 * Throws if JSON.parse changes a number of `text`: an integer that is not exactly a double, or a
 * number beyond the range of doubles.
 *
 * @param value what JSON.parse made of the text.
 * @param bytes the text in UTF-8.
 * @throws `ERR_PARTD_CODEC` with the number and its place in the frame.
 */
export function checkNumbers(value: unknown, text: string, bytes: Uint8Array): void {
  if (!mayHoldWide(value, 0) || !mayHaveLongNumber(text, bytes)) return;
  for (const { index, token } of numbersOf(text)) {
    if (!isExact(token)) {
      throw new PartdError(
        "ERR_PARTD_CODEC",
        `the number ${shorten(token)} at character ${index} of the frame would be ${Number(token)} here; ${INTEGER.test(token) ? 'read with { integers: "auto" } to have it as a BigInt' : "write it as text"}.`,
      );
    }
  }
}

/**
 * JSON.parse that gives BigInts, either for all integers or for those that a number would round.
 */
export function parseExact(text: string, bytes: Uint8Array, integers: "auto" | "bigint"): unknown {
  const rounded: unknown = JSON.parse(text); // Throws on invalid JSON, before anything is replaced.
  if (integers === "auto" && !(mayHoldWide(rounded, 0) && mayHaveLongNumber(text, bytes))) {
    return rounded;
  }
  const mark = markFor(text);
  const pieces: string[] = [];
  let done = 0;
  for (const { index, token } of numbersOf(text)) {
    if (!INTEGER.test(token)) {
      if (Number.isFinite(Number(token))) continue;
      throw new PartdError(
        "ERR_PARTD_CODEC",
        `the number ${shorten(token)} is beyond what a number holds; write it as text.`,
      );
    }
    if (integers === "auto" && Number.isSafeInteger(Number(token))) continue;
    pieces.push(text.slice(done, index), `"${mark}${token}"`);
    done = index + token.length;
  }
  pieces.push(text.slice(done));
  const value: unknown = JSON.parse(pieces.join(""));
  return done > 0 ? unmark(value, mark) : value;
}

/** Invalid JSON with each string as `""`. */
export function withoutTexts(text: string): string {
  let bare = "";
  let done = 0;
  for (let open = text.indexOf('"'); open >= 0; open = text.indexOf('"', done)) {
    bare += `${text.slice(done, open)}""`;
    done = endOfText(text, open + 1);
  }
  return bare + text.slice(done);
}

/**
 * JSON.stringify that writes BigInts as integers.
 *
 * @param wide writes numbers beyond 2^53 with a fraction, so that they are not read as BigInts.
 */
export function stringifyExact(value: unknown, wide = false): string | undefined {
  try {
    if (!wide) return JSON.stringify(value);
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
  }
  // The mark is random, so that no text in the data is taken for a number.
  const mark = `${randomText()}:`;
  const text = JSON.stringify(value, (_, item: unknown) => {
    if (typeof item === "bigint") return `${mark}${item}`;
    return wide && isWide(item) ? `${mark}${item}.0` : item;
  });
  return text?.replaceAll(new RegExp(`"${mark}(-?\\d+(?:\\.0)?)"`, "g"), "$1");
}

/** Whether an item is a number whose JSON looks like an integer that is read as a BigInt. */
export function isWide(item: unknown): boolean {
  return Number.isInteger(item) && !Number.isSafeInteger(item) && Math.abs(item as number) < 1e21;
}

/**
 * Whether parsed JSON may hold a number that was rounded or is infinite: one beyond 2^53. To look at the
 * values takes a tenth of the time of JSON.parse or less; to search a text of short strings for such
 * numbers took half.
 */
function mayHoldWide(value: unknown, depth: number): boolean {
  if (typeof value === "number") return !(Math.abs(value) <= Number.MAX_SAFE_INTEGER);
  if (typeof value !== "object" || value === null) return false;
  if (depth === DEEP) return true; // JSON.parse reads more levels than the stack has room for.
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const item: unknown = value[i];
      if (typeof item !== "string" && mayHoldWide(item, depth + 1)) return true;
    }
    return false;
  }
  // `for in` reads a property in a quarter of the time that `value[name]` of listed names takes.
  for (const name in value) {
    const part = (value as Record<string, unknown>)[name];
    if (typeof part !== "string" && mayHoldWide(part, depth + 1)) return true;
  }
  return false;
}

const DEEP = 100;

/**
 * Whether the text may hold a number that is rounded or infinite: one with many digits or a high
 * exponent.
 */
function mayHaveLongNumber(text: string, bytes: Uint8Array): boolean {
  return HIGH_EXPONENT.test(text) || hasLongRun(bytes);
}

const HIGH_EXPONENT = /\d[eE]\+?\d{3}/;

/**
 * Whether `bytes` hold a run of 16 digits or more outside a fraction. Every such run has a digit at
 * one of every 16th bytes, and another 8 bytes before or after it. Looking there takes 3 to 4 % of
 * the time of JSON.parse; a regular expression takes a fifth.
 */
function hasLongRun(bytes: Uint8Array): boolean {
  const last = bytes.length - 8;
  let i = 15;
  for (; i < last; i += 16) {
    if (!isDigit(bytes[i] as number)) continue;
    if (!isDigit(bytes[i - 8] as number) && !isDigit(bytes[i + 8] as number)) continue;
    const end = endOfRun(bytes, i);
    if (isLongRun(bytes, i, end)) return true;
    i = end; // Or a fraction of a million digits would be walked at every 16th.
  }
  return i < bytes.length && isLongRun(bytes, i, endOfRun(bytes, i));
}

function endOfRun(bytes: Uint8Array, inside: number): number {
  let end = inside;
  while (end < bytes.length && isDigit(bytes[end] as number)) end++;
  return end;
}

function isLongRun(bytes: Uint8Array, inside: number, end: number): boolean {
  let start = inside;
  while (start > 0 && isDigit(bytes[start - 1] as number)) start--;
  return end - start >= 16 && bytes[start - 1] !== POINT;
}

/** As an unsigned number, a byte below "0" is greater than 9. */
function isDigit(byte: number): boolean {
  return (byte - ZERO) >>> 0 <= 9;
}

const ZERO = 48;
const POINT = 46;

/**
 * The numbers of valid JSON. One expression for strings as well would need stack for each character of
 * a string: 8 MB of text overflowed it.
 */
function* numbersOf(text: string): Generator<{ readonly index: number; readonly token: string }> {
  const next = new RegExp(/"|-?\d[\d.eE+-]*/g);
  for (let found = next.exec(text); found !== null; found = next.exec(text)) {
    const { index, 0: token } = found;
    if (token === '"') next.lastIndex = endOfText(text, index + 1);
    else yield { index, token };
  }
}

/** Behind the quote that ends a string, or the end of `text` if it lacks one. */
function endOfText(text: string, start: number): number {
  for (let end = text.indexOf('"', start); end >= 0; end = text.indexOf('"', end + 1)) {
    let slash = end;
    while (text[slash - 1] === "\\") slash--;
    if ((end - slash) % 2 === 0) return end + 1;
  }
  return text.length;
}

const INTEGER = /^-?\d+$/;

/**
 * Whether a number holds the token exactly. Also true for what JSON.stringify writes for an integer
 * beyond 2^53: its shortest digits and zeros.
 */
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

/** Replaces the marked strings by BigInts, in place. */
function unmark(root: unknown, mark: string): unknown {
  const holder: unknown[] = [root];
  const waiting: object[] = [holder];
  const restored = (value: unknown): unknown => {
    if (typeof value === "object" && value !== null) waiting.push(value);
    else if (typeof value === "string" && value.startsWith(mark)) {
      return BigInt(value.slice(mark.length));
    }
    return value;
  };
  for (let object = waiting.pop(); object !== undefined; object = waiting.pop()) {
    if (Array.isArray(object)) {
      for (let i = 0; i < object.length; i++) object[i] = restored(object[i]);
      continue;
    }
    const record = object as Record<string, unknown>;
    // All are the object's own, also one named `__proto__`: to assign them is safe.
    for (const name of Object.keys(record)) {
      const value = record[name];
      const now = restored(value);
      if (now !== value) record[name] = now;
    }
  }
  return holder[0];
}

function shorten(token: string): string {
  return token.length > 40 ? `${token.slice(0, 40)}… (${token.length} digits)` : token;
}
