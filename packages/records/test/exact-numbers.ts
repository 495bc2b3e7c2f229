/**
 * `JSON.parse` with bigints for the integers that it would change: by text alone, without a double but to see how
 * JavaScript writes it.
 */
export function parseExact(text: string): unknown {
  // Names and strings keep their first character apart from the marks.
  const marked = text.replaceAll(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g, (token) =>
    token.startsWith('"') ? `"s${token.slice(1)}` : `"n${token}"`,
  );
  return unmarked(JSON.parse(marked));
}

function unmarked(value: unknown): unknown {
  if (typeof value === "string") return value[0] === "s" ? value.slice(1) : exact(value.slice(1));
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(unmarked);
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [name.slice(1), unmarked(one)]),
  );
}

export function exact(token: string): number | bigint {
  const value = Number(token);
  if (!Number.isFinite(value)) return value;
  const [integer, power] = decimalOf(token);
  if (integer === 0n || power < 0) return value;
  const [written, writtenPower] = decimalOf(String(value));
  return written === integer && writtenPower === power ? value : integer * 10n ** BigInt(power);
}

/** Digits without zeros at their end, and the power of ten to multiply them by. */
function decimalOf(token: string): [bigint, number] {
  const [mantissa = "", exponent = "0"] = token.toLowerCase().split("e");
  const [whole = "", fraction = ""] = mantissa.split(".");
  const digits = whole + fraction;
  const significant = digits.replace(/0+$/, "");
  const zeros = digits.length - significant.length;
  return [BigInt(significant.replace(/^-?$/, "0")), Number(exponent) - fraction.length + zeros];
}
