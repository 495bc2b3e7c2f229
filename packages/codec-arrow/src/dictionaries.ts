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
  const sameWidth = codeType(piece) === String(type.indices);
  let values = piece.values as Int32Array;
  if (map !== SAME || !sameWidth) {
    values = new type.indices.ArrayType(piece.length) as Int32Array;
    const old = piece.values as Int32Array | BigInt64Array;
    // A null's code may be anything.
    if (map instanceof Int32Array && old.BYTES_PER_ELEMENT < 8) {
      for (let i = 0; i < piece.length; i++) values[i] = map[(old as Int32Array)[i] as number] ?? 0;
    } else {
      for (let i = 0; i < piece.length; i++) {
        const code = Number(old[i]);
        values[i] = map === SAME ? code : (map?.[code] ?? 0);
      }
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

/**
 * Gives each distinct run of bytes a number, counting from 0. It is a hash table over the bytes
 * themselves: decoding the texts of a dictionary, looking them up and encoding them again took a
 * fifth of `get`.
 */
export class DistinctBytes {
  #bytes = new Uint8Array(1024);
  /** Where each run begins, and where the last one ends. */
  #offsets = new Int32Array(257);
  #count = 0;
  /**
   * Open addressing: a run's number plus one, or 0 for a free slot. At least twice as many slots as
   * runs.
   */
  #table = new Int32Array(512);

  /** The number of distinct runs. */
  get count(): number {
    return this.#count;
  }

  /** All distinct runs, end to end. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#offsets[this.#count]);
  }

  get offsets(): Int32Array {
    return this.#offsets.subarray(0, this.#count + 1);
  }

  /** @returns the number of these bytes of `source`; the next free one if they have not been seen. */
  add(source: Uint8Array, start: number, end: number): number {
    const mask = this.#table.length - 1;
    let place = hash(source, start, end) & mask;
    for (let number = this.#table[place] as number; number > 0; ) {
      if (this.#isAt(number - 1, source, start, end)) return number - 1;
      place = (place + 1) & mask;
      number = this.#table[place] as number;
    }
    const added = this.#count++;
    this.#table[place] = added + 1;
    this.#keep(source, start, end);
    if (this.#count * 2 > this.#table.length) this.#grow();
    return added;
  }

  #isAt(number: number, source: Uint8Array, start: number, end: number): boolean {
    const from = this.#offsets[number] as number;
    if ((this.#offsets[number + 1] as number) - from !== end - start) return false;
    for (let i = start, j = from; i < end; i++, j++) {
      if (source[i] !== this.#bytes[j]) return false;
    }
    return true;
  }

  #keep(source: Uint8Array, start: number, end: number): void {
    const from = this.#offsets[this.#count - 1] as number;
    const to = from + end - start;
    if (to > this.#bytes.length) this.#bytes = grown(this.#bytes, Uint8Array, to);
    if (this.#count >= this.#offsets.length) {
      this.#offsets = grown(this.#offsets, Int32Array, this.#count + 1);
    }
    for (let i = start, j = from; i < end; i++, j++) this.#bytes[j] = source[i] as number;
    this.#offsets[this.#count] = to;
  }

  #grow(): void {
    this.#table = new Int32Array(this.#table.length * 2);
    const mask = this.#table.length - 1;
    for (let number = 0; number < this.#count; number++) {
      const [start, end] = [this.#offsets[number] as number, this.#offsets[number + 1] as number];
      let place = hash(this.#bytes, start, end) & mask;
      while (this.#table[place] !== 0) place = (place + 1) & mask;
      this.#table[place] = number + 1;
    }
  }
}

function grown<A extends Uint8Array | Int32Array>(
  array: A,
  type: new (length: number) => A,
  needed: number,
): A {
  const larger = new type(Math.max(needed, array.length * 2));
  larger.set(array);
  return larger;
}

/** Uses a factor that is random in each process, so that no data can be crafted to collide. */
function hash(bytes: Uint8Array, start: number, end: number): number {
  let sum = end - start;
  for (let i = start; i < end; i++) sum = Math.imul(sum ^ (bytes[i] as number), FACTOR);
  sum = Math.imul(sum ^ (sum >>> 15), FACTOR);
  return sum ^ (sum >>> 13);
}

const FACTOR = (Math.random() * 2 ** 32) | 5;
