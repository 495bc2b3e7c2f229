import { ByteReader } from "./byte-reader.js";
import { latin1Bytes } from "./python/object.js";

// Arguments of the opcodes of protocol 0, which are lines of text.

/** A line, as Latin-1. */
export function lineOf(input: ByteReader): string {
  const bytes = input.line();
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/** An int: a BigInt if a number would round it. */
export function integerOf(text: string): number | bigint {
  if (!/^[+-]?\d{1,100000}$/.test(text)) throw new Error("an int is none.");
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : BigInt(text);
}

/** An index of the memo. */
export function indexOf(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new Error("it refers to a place that is none.");
}

export function floatOf(text: string): number {
  const value = /^[+-]?(inf|nan)$/.test(text)
    ? Number(text.replace("inf", "Infinity").replace(/[+-]?nan/, "NaN"))
    : Number(text);
  if (text === "" || (Number.isNaN(value) && !text.endsWith("nan")))
    throw new Error("a float is none.");
  return value;
}

/** A str of Python 2, quoted as `repr` does. */
export function unquoted(text: string): string {
  const quote = text[0];
  if ((quote !== "'" && quote !== '"') || text.length < 2 || text.at(-1) !== quote) {
    throw new Error("a str is not quoted.");
  }
  const bytes = text.slice(1, -1).replace(/\\(x[0-9a-fA-F]{2}|.)/g, (_, character: string) => {
    if (character[0] === "x" && character.length === 3) {
      return String.fromCharCode(Number.parseInt(character.slice(1), 16));
    }
    return { n: "\n", t: "\t", r: "\r" }[character] ?? character;
  });
  const utf8 = latin1Bytes(bytes);
  return new ByteReader(utf8).text(utf8.byteLength);
}

/** A str of protocol 0: Latin-1 except for `\\uXXXX` and `\\UXXXXXXXX`. */
export function unescaped(text: string): string {
  return text.replace(/\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))/g, (_, short, long) => {
    const code = Number.parseInt(short ?? long, 16);
    if (code > 0x10ffff) throw new Error("a character is none.");
    return short === undefined ? String.fromCodePoint(code) : String.fromCharCode(code);
  });
}
