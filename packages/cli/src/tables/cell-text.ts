/**
 * A moment as ISO 8601 in UTC, with three, six or nine digits after the second: as many as needed.
 *
 * @param digits how many digits after the second the unit has: 3 for milliseconds.
 */
export function momentText(units: bigint, digits: 0 | 3 | 6 | 9): string {
  const perSecond = 10n ** BigInt(digits);
  const seconds = units / perSecond - (units % perSecond < 0n ? 1n : 0n);
  const date = new Date(Number(seconds) * 1000);
  if (Number.isNaN(+date)) return String(units); // Beyond the year 275760.
  const fraction = String(units - seconds * perSecond)
    .padStart(digits, "0")
    .padEnd(3, "0")
    .replace(/(?<=^\d{3}(?:\d{3})?)(?:000)+$/, "");
  return `${date.toISOString().slice(0, -4)}${fraction}Z`;
}

/** A decimal with its column's number of digits after the point: `decimalText(-5n, 2)` is `"-0.05"`. */
export function decimalText(units: bigint, scale: number): string {
  if (scale <= 0) return String(units * 10n ** BigInt(-scale));
  const digits = String(units < 0n ? -units : units).padStart(scale + 1, "0");
  return `${units < 0n ? "-" : ""}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

/** Days since 1970 as `"2001-12-31"`. */
export function dayText(days: number): string {
  const date = new Date(days * 86_400_000);
  return Number.isNaN(+date) ? String(days) : date.toISOString().replace(/T.*/, "");
}
