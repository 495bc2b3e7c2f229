import { PartdError } from "@partd/core";

/** The type of an array's items, as NumPy describes it. */
export interface Dtype {
  /** As `numpy.dtype.str` gives it: `"<f8"`, `"|b1"`, `"<M8[ns]"`, `"|O"`. */
  readonly text: string;
  /** NumPy's letter without size and byte order: `"f8"`, `"M8[ns]"`, `"O"`. */
  readonly type: string;
  readonly kind: Kind;
  /** Bytes of one item; 0 for objects. */
  readonly itemSize: number;
  /** Bytes of the words that byte order applies to: half an item for complex numbers. */
  readonly wordSize: number;
  /** Whether the byte order differs from this machine's. */
  readonly swapped: boolean;
  /** The unit of dates and durations: `"ns"`, `"D"`, `"25s"`; undefined if NumPy gives none. */
  readonly unit: string | undefined;
}

/** Boolean, integer, unsigned, float, complex, datetime64, timedelta64, object, bytes, text, void. */
type Kind = "b" | "i" | "u" | "f" | "c" | "M" | "m" | "O" | "S" | "U" | "V";

/**
 * Parses NumPy's short form, or a name such as `"float16"` or `"datetime64[ns]"`.
 *
 * @throws `ERR_PARTD_CODEC` for text that is not a dtype, and for a dtype without a counterpart here.
 */
export function parseDtype(text: string): Dtype {
  if (text.startsWith("[")) return recordDtype(text);
  const short = SHORT.exec(text) ?? SHORT.exec(shorten(text));
  const [, order = "", kind = "", size = "", unit] = short ?? [];
  const count = kind === "O" ? 0 : Number(size);
  const itemSize = kind === "U" ? count * 4 : count;
  const hasSize = /[SUV]/.test(kind)
    ? itemSize > 0 && itemSize < 2 ** 31
    : SIZES[kind]?.includes(itemSize) && !(itemSize === 16 && kind === "f" && order === ">");
  if (!short || !hasSize || !hasUnit(kind, unit)) {
    throw new PartdError(
      "ERR_PARTD_CODEC",
      `the dtype ${JSON.stringify(text.slice(0, 60))} has no type in JavaScript; numbers, bool, complex64 and 128, datetime64, timedelta64, S, U, V, records of these, and object have.`,
    );
  }
  const wordSize = { c: itemSize / 2, U: 4, S: 1, V: 1 }[kind] ?? itemSize;
  const type = kind + (kind === "O" ? "" : count) + (unit ? `[${unit}]` : "");
  const big = order === ">" || (order !== "<" && HOST_ORDER === ">");
  const written = wordSize <= 1 ? "|" : big ? ">" : "<";
  return {
    text: written + type,
    type,
    kind: kind as Kind,
    itemSize,
    wordSize,
    swapped: wordSize > 1 && written !== HOST_ORDER,
    unit,
  };
}

/** A field of a record. */
export interface DtypeField {
  readonly name: string;
  readonly dtype: Dtype;
  /** Its position in the item, in bytes. */
  readonly offset: number;
}

/**
 * The fields of a record dtype such as `[('a', '<i4'), ('b', '|S3')]`, which lie end to end; none
 * for other dtypes.
 */
export function fieldsOf(text: string): DtypeField[] {
  const fields: DtypeField[] = [];
  let offset = 0;
  for (const [, , name = "", type = ""] of text.matchAll(FIELD)) {
    const dtype = parseDtype(type);
    fields.push({ name, dtype, offset });
    offset += dtype.itemSize;
  }
  return fields;
}

function recordDtype(text: string): Dtype {
  const fields = RECORD.test(text) ? fieldsOf(text) : [];
  const itemSize = fields.reduce((sum, { dtype }) => sum + dtype.itemSize, 0);
  if (itemSize === 0 || fields.some(({ dtype }) => dtype.kind === "O")) {
    throw new PartdError(
      "ERR_PARTD_CODEC",
      `the record dtype ${JSON.stringify(text.slice(0, 60))} has other fields than numbers, bytes and texts.`,
    );
  }
  const names = fields.map(({ name }) => name);
  if (new Set(names).size < names.length || names.some((name) => !FIELD_NAME.test(name))) {
    throw new PartdError(
      "ERR_PARTD_CODEC",
      `the record dtype ${JSON.stringify(text.slice(0, 60))} needs a name of its own for each field, without control characters.`,
    );
  }
  return { text, type: text, kind: "V", itemSize, wordSize: 1, swapped: false, unit: undefined };
}

/** What Python's partd, which evaluates the text, and NumPy accept as a name. */
const FIELD_NAME = /^\P{Cc}+$/u;
/** Only one way to read each space: a text of a hundred bytes took minutes. */
const RECORD = /^\[\s*(?:\(\s*'[^'\\]*'\s*,\s*'[^'\\]*'\s*\)\s*(?:,\s*|(?=\])))+\]$/;
const FIELD = /\(\s*(')([^'\\]*)'\s*,\s*'([^'\\]*)'\s*\)/g;

const SHORT = /^([<>|=]?)([biufcMmOSUV])(\d*)(?:\[([^\]]+)\])?$/;
const NAME = /^(bool|int|uint|float|complex|datetime|timedelta|object)(\d*)(\[[^\]]+\])?$/;

/** NumPy's units of time, with an optional multiple. */
const UNIT = /^\d{0,9}(?:Y|M|W|D|h|m|s|ms|us|μs|ns|ps|fs|as|generic)$/;

/** Whether the unit is valid for the kind. Only dates and durations have one, and may lack it. */
function hasUnit(kind: string, unit: string | undefined): boolean {
  return unit === undefined || (/[Mm]/.test(kind) && UNIT.test(unit));
}

const SIZES: Readonly<Record<string, readonly number[]>> = {
  b: [1],
  i: [1, 2, 4, 8],
  u: [1, 2, 4, 8],
  f: [2, 4, 8, 16],
  c: [8, 16],
  M: [8],
  m: [8],
  O: [0],
};

const LETTERS = new Map([
  ["bool", "b1"],
  ["int", "i"],
  ["uint", "u"],
  ["float", "f"],
  ["complex", "c"],
  ["datetime", "M"],
  ["timedelta", "m"],
  ["object", "O"],
]);

const HOST_ORDER = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1 ? "<" : ">";

/** The short form of a name: `"f2"` for `"float16"`. */
function shorten(text: string): string {
  const [, name = "", bits = "", unit = ""] = NAME.exec(text) ?? [];
  return `${LETTERS.get(name) ?? "?"}${bits === "" ? "" : Number(bits) / 8}${unit}`;
}
