import { UsageError } from "./failure.js";

/**
 * Bytes from text such as `512MB`, `1.5GiB`, `64k`, `1e9` or `1_000`. K, M, G and T are powers of 1,000, and Ki, Mi,
 * Gi and Ti of 1,024.
 *
 * @throws `UsageError` for other text, and for less than a byte.
 */
export function parseBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?(?:e\d+)?)\s*([kmgt]?)(i?)b?$/i.exec(
    text.trim().replaceAll("_", ""),
  );
  const bytes = match
    ? Math.round(Number(match[1]) * (match[3] ? 1024 : 1000) ** ORDER.indexOf(lower(match[2])))
    : Number.NaN;
  if (!match || (match[3] && !match[2]) || !Number.isSafeInteger(bytes) || bytes < 1) {
    throw new UsageError(`takes a size such as 512MB, 2GiB or 64k, not ${JSON.stringify(text)}`);
  }
  return bytes;
}

/** Bytes of memory for records. @throws `UsageError` for less than 1 MB, which is too little for any run. */
export function parseMemory(text: string): number {
  const bytes = parseBytes(text);
  if (bytes < 1e6) throw new UsageError(`takes 1MB or more, not ${JSON.stringify(text)}`);
  return bytes;
}

/** A whole number from 1 to `most`, written as `1000000`, `1e6` or `1_000_000`. @throws `UsageError` for others. */
export function parseCount(text: string, most?: number): number {
  const count = Number(text.replaceAll("_", ""));
  if (text.trim() === "" || !Number.isSafeInteger(count) || count < 1 || count > (most ?? count)) {
    const range = most === undefined ? "of 1 or more" : `from 1 to ${most}`;
    throw new UsageError(`takes a whole number ${range}, not ${JSON.stringify(text)}`);
  }
  return count;
}

/** Three digits and a unit: `"1.42 GB"`, `"64 B"`. */
export function showBytes(bytes: number): string {
  return `${showScaled(bytes, 1000)}B`;
}

/** `"1,234,567"`. The first `toLocaleString` would load the tables of all languages, for 13 ms. */
export function showCount(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** `"1 file"`, `"2 files"`. */
export function showMany(count: number, noun: string): string {
  return `${showCount(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** `"48 s"`, `"3 min 5 s"`, `"2 h 10 min"`. */
export function showSeconds(seconds: number): string {
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

function showScaled(value: number, base: number): string {
  let scaled = value;
  let order = 0;
  while (scaled >= base - 0.5 && order < ORDER.length - 1) {
    scaled /= base;
    order++;
  }
  const digits = order === 0 || scaled >= 99.95 ? 0 : scaled >= 9.995 ? 1 : 2;
  return `${scaled.toFixed(digits)} ${["", "k", "M", "G", "T"][order]}`;
}

function lower(text: string | undefined): string {
  return (text ?? "").toLowerCase();
}

const ORDER = ["", "k", "m", "g", "t"];
