import {
  type Data,
  DataType,
  Dictionary,
  type Field,
  Int32,
  makeData,
  type Utf8,
  Vector,
  vectorFromArray,
} from "apache-arrow";
import { DistinctBytes } from "./distinct-bytes.js";
import { withChildren } from "./types.js";

/** One column's data in each record batch, or undefined if the batch lacks the column. */
type Pieces = readonly (Data | undefined)[];

interface Unified {
  readonly type: DataType;
  readonly data: Pieces;
}

/**
 * Gives a column one dictionary for all batches, at any depth. A column without dictionaries is
 * returned unchanged.
 */
export function unifyDictionaries(type: DataType, pieces: Pieces): Unified {
  if (DataType.isDictionary(type)) return unifyColumn(type, pieces);
  const fields = (type.children ?? []) as Field[];
  const children = fields.map((field, c) =>
    unifyDictionaries(
      field.type,
      pieces.map((piece) => piece?.children[c]),
    ),
  );
  if (children.every((child, c) => child.type === fields[c]?.type)) return { type, data: pieces };
  const nested = withChildren(
    type,
    fields.map((field, c) => field.clone({ type: (children[c] as Unified).type })),
  );
  const data = pieces.map((piece, b) => {
    if (piece === undefined) return undefined;
    const inner = children.map((child) => child.data[b] as Data);
    return piece.clone(nested, piece.offset, piece.length, piece.nullCount, piece.buffers, inner);
  });
  return { type: nested, data };
}

function unifyColumn(type: Dictionary, pieces: Pieces): Unified {
  const dictionaries = new Set<Vector>();
  for (const piece of pieces) if (piece?.dictionary) dictionaries.add(piece.dictionary);
  const widths = new Set(pieces.flatMap((piece) => (piece ? [codeType(piece)] : [])));
  if (dictionaries.size <= 1 && widths.size <= 1) return { type, data: pieces };
  const union = unite([...dictionaries], type.dictionary);
  const narrow = widths.size <= 1 && union.dictionary.length <= codesIn(type);
  const ordered = type.isOrdered && [...union.codes.values()].every((codes) => codes === SAME);
  const unified = new Dictionary(
    type.dictionary,
    narrow ? type.indices : new Int32(),
    undefined, // A new id: the old ones belong to the old dictionaries.
    ordered,
  );
  return { type: unified, data: pieces.map((piece) => piece && recode(piece, unified, union)) };
}

/** Maps a dictionary's codes to those of the union. */
type Codes = Int32Array | typeof SAME;
/** The codes stay: value i of the dictionary is value i of the union. */
const SAME = Symbol("same codes");

interface Union {
  readonly dictionary: Vector;
  readonly codes: ReadonlyMap<Vector, Codes>;
}

function unite(dictionaries: readonly Vector[], type: DataType): Union {
  if (isText(type) && dictionaries.every(({ nullCount }) => nullCount === 0)) {
    const bytes = dictionaries.reduce((sum, { byteLength }) => sum + byteLength, 0);
    return bytes < 2 ** 31 ? uniteTexts(dictionaries, type) : uniteWhole(dictionaries);
  }
  return isComparable(type) ? uniteValues(dictionaries, type) : uniteWhole(dictionaries);
}

/** Unites dictionaries of texts, comparing the texts by their bytes. */
function uniteTexts(dictionaries: readonly Vector[], type: Utf8): Union {
  const distinct = new DistinctBytes();
  const codes = new Map<Vector, Codes>();
  for (const dictionary of dictionaries) {
    const own = new Int32Array(dictionary.length);
    let at = 0;
    let same = true;
    for (const { values, valueOffsets, length } of dictionary.data as readonly Data<Utf8>[]) {
      for (let i = 0; i < length; i++, at++) {
        const place = distinct.add(
          values,
          valueOffsets[i] as number,
          valueOffsets[i + 1] as number,
        );
        own[at] = place;
        if (place !== at) same = false;
      }
    }
    codes.set(dictionary, same ? SAME : own);
  }
  const { count: length, offsets: valueOffsets, bytes: data } = distinct;
  return {
    dictionary:
      wholeOf(dictionaries, codes, length) ??
      new Vector([makeData({ type, length, nullCount: 0, valueOffsets, data })]),
    codes,
  };
}

/** The dictionary that already equals the union, if there is one. */
function wholeOf(
  dictionaries: readonly Vector[],
  codes: ReadonlyMap<Vector, Codes>,
  length: number,
): Vector | undefined {
  return dictionaries.find((one) => one.length === length && codes.get(one) === SAME);
}

/** Unites dictionaries of values that can be compared by `===`. */
function uniteValues(dictionaries: readonly Vector[], type: DataType): Union {
  const places = new Map<unknown, number>();
  const values: unknown[] = [];
  const codes = new Map<Vector, Codes>();
  for (const dictionary of dictionaries) {
    const own = new Int32Array(dictionary.length);
    let same = true;
    for (let i = 0; i < own.length; i++) {
      const value: unknown = dictionary.get(i);
      let place = places.get(value);
      if (place === undefined) {
        place = values.push(value) - 1;
        places.set(value, place);
      }
      own[i] = place;
      if (place !== i) same = false;
    }
    codes.set(dictionary, same ? SAME : own);
  }
  const [first] = dictionaries as [Vector];
  const whole = wholeOf(dictionaries, codes, values.length);
  return { dictionary: whole ?? vectorFromArray(values, first.type ?? type), codes };
}

/**
 * Concatenates the dictionaries: for values that do not compare by `===` or that `get` would round,
 * and for texts of 2 GiB together.
 */
function uniteWhole(dictionaries: readonly Vector[]): Union {
  const codes = new Map<Vector, Codes>();
  let start = 0;
  for (const dictionary of dictionaries) {
    const shift = start;
    codes.set(
      dictionary,
      Int32Array.from({ length: dictionary.length }, (_, i) => shift + i),
    );
    start += dictionary.length;
  }
  return { dictionary: new Vector(dictionaries.flatMap(({ data }) => data)), codes };
}

function isText(type: DataType): type is Utf8 {
  return DataType.isUtf8(type);
}

/**
 * Whether values of the type are the same if and only if they are `===`: texts, booleans and
 * integers.
 */
function isComparable(type: DataType): boolean {
  return (
    DataType.isUtf8(type) ||
    DataType.isLargeUtf8(type) ||
    DataType.isInt(type) ||
    DataType.isBool(type)
  );
}

function recode(piece: Data, type: Dictionary, { dictionary, codes }: Union): Data {
  const map = piece.dictionary && codes.get(piece.dictionary);
  const old = piece.values as ArrayLike<number | bigint>;
  const sameWidth = codeType(piece) === String(type.indices);
  let values = piece.values as Int32Array;
  if (map !== SAME || !sameWidth) {
    values = new type.indices.ArrayType(piece.length) as Int32Array;
    for (let i = 0; i < piece.length; i++) {
      const code = Number(old[i]);
      // A null's code may be anything.
      values[i] = map === SAME ? code : (map?.[code] ?? 0);
    }
  }
  const { length, nullCount, nullBitmap } = piece;
  return makeData({ type, length, nullCount, nullBitmap, data: values, dictionary });
}

function codeType(piece: Data): string {
  return String((piece.type as Dictionary).indices);
}

/** The number of values that the codes of a dictionary type can tell apart. */
function codesIn({ indices }: Dictionary): number {
  return 2 ** (indices.bitWidth - (indices.isSigned ? 1 : 0));
}
