import { PartdError } from "@partd/core";
import { CheckedTable, type FieldSpec, safeLong, type TableSpec } from "./flatbuffer.js";

/**
 * Throws unless `bytes` are exactly one Arrow IPC stream with valid metadata, whose buffers lie
 * within its messages. `apache-arrow` checks none of this. Returns what the metadata say.
 *
 * @see https://arrow.apache.org/docs/format/Columnar.html#encapsulated-message-format
 */
export function checkStream(bytes: Uint8Array): CheckedStream {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let schema: CheckedSchema | undefined;
  const batches: CheckedBatch[] = [];
  for (let at = 0; ; ) {
    // The format leaves the end mark to the writer, but without it a cut would be taken for the end.
    if (at === bytes.byteLength && schema !== undefined) {
      throw refuse(
        "its end mark is missing: close the writer of the stream, unless it was cut short",
      );
    }
    if (at + 4 > bytes.byteLength) throw cutShort();
    if (view.getInt32(at, true) === CONTINUATION) at += 4; // Since Arrow 0.15.
    if (at + 4 > bytes.byteLength) throw cutShort();
    const length = view.getInt32(at, true);
    at += 4;
    if (length === 0) {
      if (at !== bytes.byteLength) throw new Error("bytes follow its end.");
      break;
    }
    if (length < 0 || at + length > bytes.byteLength) throw cutShort();
    const metadata = bytes.subarray(at, at + length);
    at += length;
    if (schema === undefined && isOfForm(metadata, lastForm)) {
      schema = { form: lastForm, ids: idsIn(metadata, lastForm) };
      continue;
    }
    const message = CheckedTable.root(metadata, MESSAGE);
    const bodyLength = message.long(BODY_LENGTH);
    if (bodyLength < 0 || at + bodyLength > bytes.byteLength) throw cutShort();
    const header = message.table(HEADER);
    const type = message.byte(HEADER_TYPE);
    if (type > RECORD_BATCH_HEADER) throw refuse("it holds a tensor; append a table");
    if (message.byte(VERSION) < VERSION_4) throw refuse("it was written before Arrow 0.8");
    if (header === undefined || (schema === undefined) !== (type === SCHEMA_HEADER)) {
      throw new Error("it does not begin with a schema, and go on with its batches.");
    }
    if (schema === undefined) {
      const form = formOf(header, metadata);
      schema = { form, ids: idsIn(metadata, form) };
      if (bodyLength === 0 && length <= LONGEST_KEPT && length % 4 === 0) lastForm = form;
    } else {
      const body = bytes.subarray(at, at + bodyLength);
      batches.push(checkBatch(message, header, type === DICTIONARY_HEADER, body, schema.form));
    }
    at += bodyLength;
  }
  if (schema === undefined) throw new Error("it is an Arrow IPC stream without a schema.");
  return { schema, batches };
}

/** What the metadata of a stream say. */
export interface CheckedStream {
  readonly schema: CheckedSchema;
  readonly batches: readonly CheckedBatch[];
}

export interface CheckedSchema {
  readonly form: SchemaForm;
  /** The id of each column that is a dictionary, or -1 for one that is negative or unsafe. */
  readonly ids: readonly number[];
}

/** What schemas have in common that differ in no more than the ids of dictionary columns. */
export interface SchemaForm extends Columns {
  /** A message of the form. */
  readonly words: Int32Array;
  /** Where the id of each dictionary column stands in it, or 0 if it has none, which means 0. */
  readonly idPlaces: readonly number[];
}

/** The index of each column's node in a record batch, and the number of all nodes. */
interface Columns {
  readonly places: readonly number[];
  readonly nodes: number;
}

/** A record batch, or the values of a dictionary. */
export interface CheckedBatch {
  /** The dictionary's id; `undefined` for a record batch. */
  readonly dictionary: number | undefined;
  /** Whether it has no compression, no metadata, and does not add to a dictionary. */
  readonly isPlain: boolean;
  readonly rows: number;
  /** The rows of each node and its nulls, a pair each. */
  readonly nodes: readonly number[];
  /** Where each buffer begins in the body and how long it is, a pair each. */
  readonly buffers: readonly number[];
  readonly body: Uint8Array;
}

/**
 * The form of the last schema that was read. All tables of a key have one form, though `apache-arrow` gives
 * each dictionary an id of its own; checking and decoding each schema took a fifth of `get`.
 */
let lastForm: SchemaForm | undefined;
const LONGEST_KEPT = 2 ** 16;

function isOfForm(metadata: Uint8Array, form: SchemaForm | undefined): form is SchemaForm {
  const { byteLength, byteOffset, buffer } = metadata;
  if (byteLength !== form?.words.byteLength || byteOffset % 4 !== 0) return false;
  const { words: known, idPlaces } = form;
  const words = new Int32Array(buffer, byteOffset, byteLength / 4);
  for (let i = 0; i < words.length; i++) {
    // An id is two words.
    if (words[i] !== known[i] && !idPlaces.some((place) => place > 0 && i >> 1 === place / 8)) {
      return false;
    }
  }
  return true;
}

function idsIn(metadata: Uint8Array, { idPlaces }: SchemaForm): number[] {
  const view = new DataView(metadata.buffer, metadata.byteOffset, metadata.byteLength);
  return idPlaces.map((place) => (place > 0 ? safeLong(view, place) : 0));
}

function formOf(schema: CheckedTable, metadata: Uint8Array): SchemaForm {
  if (schema.byte(ENDIANNESS) !== 0) {
    throw refuse("its numbers are big-endian, which apache-arrow does not read");
  }
  for (const field of schema.tables(SCHEMA_FIELDS)) checkType(field);
  const places: number[] = [];
  const idPlaces: number[] = [];
  let nodes = 0;
  for (const field of schema.tables(SCHEMA_FIELDS)) {
    places.push(nodes);
    nodes += nodesOf(field);
    const encoding = field.table(FIELD_DICTIONARY);
    if (encoding !== undefined) idPlaces.push(encoding.place(ENCODING_ID));
  }
  const words = new Int32Array(metadata.slice().buffer, 0, metadata.byteLength >> 2);
  return { words, places, nodes, idPlaces };
}

/** Refuses what `apache-arrow` reads as other values, or with an error about itself. */
function checkType(field: CheckedTable): void {
  const type = field.byte(FIELD_TYPE - 1);
  const bits = type === DECIMAL ? (field.table(FIELD_TYPE)?.int(BIT_WIDTH) ?? 128) : 128;
  if (bits !== 128 && bits !== 256) {
    throw refuse(`apache-arrow does not read decimals of ${bits} bits; widen them to 128`);
  }
  for (const child of field.tables(FIELD_CHILDREN)) checkType(child);
}

function checkBatch(
  message: CheckedTable,
  header: CheckedTable,
  isDictionary: boolean,
  body: Uint8Array,
  columns: Columns,
): CheckedBatch {
  const batch = isDictionary ? header.table(DICTIONARY_DATA) : header;
  if (batch === undefined) throw new Error("a dictionary is missing.");
  const rows = batch.long(ROWS);
  const nodes = batch.longs(NODES, 2);
  const buffers = batch.longs(BUFFERS, 2);
  if (rows < 0 || buffers.includes(-1)) throw outside();
  // Check the lengths. The null counts between them may be -1, for unknown.
  for (let i = 0; i < nodes.length; i += 2) if (nodes[i] === -1) throw outside();
  for (let i = 0; i < buffers.length; i += 2) {
    if ((buffers[i] as number) + (buffers[i + 1] as number) > body.byteLength) throw outside();
  }
  const views = batch.longs(VARIADIC_COUNTS, 1).reduce((sum, count) => sum + Math.abs(count), 0);
  if (views > buffers.length / 2) throw outside();
  // The reader pads shorter columns to `rows`, so that a forged number would take memory.
  const { places } = isDictionary ? ONE_COLUMN : columns;
  if (!isDictionary && nodes.length !== columns.nodes * 2) throw outside();
  for (const place of places) if (nodes[place * 2] !== rows) throw outside();
  const isPlain =
    batch.place(COMPRESSION) === 0 &&
    batch.place(VARIADIC_COUNTS) === 0 &&
    message.place(CUSTOM_METADATA) === 0 &&
    !(isDictionary && header.byte(IS_DELTA) !== 0);
  const dictionary = isDictionary ? header.long(DICTIONARY_ID) : undefined;
  return { dictionary, isPlain, rows, nodes, buffers, body };
}

/**
 * A column has a node for itself and for each of its children. A dictionary's values have theirs in
 * a batch of their own.
 */
function nodesOf(field: CheckedTable): number {
  if (field.table(FIELD_DICTIONARY) !== undefined) return 1;
  return field.tables(FIELD_CHILDREN).reduce((sum, child) => sum + nodesOf(child), 1);
}

const ONE_COLUMN: Columns = { places: [0], nodes: 1 };
const CONTINUATION = -1;

function inline(size: number): FieldSpec {
  return { kind: "inline", size };
}

function tables(of: () => TableSpec): FieldSpec {
  return { kind: "tables", of };
}

// The tables of Message.fbs and Schema.fbs, https://github.com/apache/arrow/tree/main/format

const KEY_VALUE: TableSpec = [{ kind: "string" }, { kind: "string" }];
const INT: TableSpec = [inline(4), inline(1)];
const UNIT: TableSpec = [inline(2)];
const WIDTH: TableSpec = [inline(4)];
const NOTHING: TableSpec = [];

/** Indexed by the number of the type in the union `Type`. */
const TYPES: readonly (TableSpec | undefined)[] = [
  undefined,
  NOTHING, // Null
  INT,
  UNIT, // FloatingPoint
  NOTHING, // Binary
  NOTHING, // Utf8
  NOTHING, // Bool
  [inline(4), inline(4), inline(4)], // Decimal
  UNIT, // Date
  [inline(2), inline(4)], // Time
  [inline(2), { kind: "string" }], // Timestamp
  UNIT, // Interval
  NOTHING, // List
  NOTHING, // Struct
  [inline(2), { kind: "vector", size: 4 }], // Union
  WIDTH, // FixedSizeBinary
  WIDTH, // FixedSizeList
  [inline(1)], // Map
  UNIT, // Duration
  NOTHING, // LargeBinary
  NOTHING, // LargeUtf8
  NOTHING, // LargeList
  NOTHING, // RunEndEncoded
  NOTHING, // BinaryView
  NOTHING, // Utf8View
  NOTHING, // ListView
  NOTHING, // LargeListView
];

const DICTIONARY_ENCODING: TableSpec = [
  inline(8),
  { kind: "table", of: () => INT },
  inline(1),
  inline(2),
];

const FIELD: TableSpec = [
  { kind: "string" },
  inline(1),
  inline(1),
  { kind: "union", of: (type) => TYPES[type] },
  { kind: "table", of: () => DICTIONARY_ENCODING },
  tables(() => FIELD),
  tables(() => KEY_VALUE),
];
const FIELD_TYPE = 3;
const DECIMAL = 7;
const BIT_WIDTH = 2;
const FIELD_DICTIONARY = 4;
const ENCODING_ID = 0;
const FIELD_CHILDREN = 5;

const SCHEMA: TableSpec = [
  inline(2),
  tables(() => FIELD),
  tables(() => KEY_VALUE),
  { kind: "vector", size: 8 },
];
const ENDIANNESS = 0;
const SCHEMA_FIELDS = 1;

const RECORD_BATCH: TableSpec = [
  inline(8),
  { kind: "vector", size: 16 },
  { kind: "vector", size: 16 },
  { kind: "table", of: () => [inline(1), inline(1)] },
  { kind: "vector", size: 8 },
];
const ROWS = 0;
const NODES = 1;
const BUFFERS = 2;
const COMPRESSION = 3;
const VARIADIC_COUNTS = 4;

const DICTIONARY_BATCH: TableSpec = [
  inline(8),
  { kind: "table", of: () => RECORD_BATCH },
  inline(1),
];
const DICTIONARY_ID = 0;
const DICTIONARY_DATA = 1;
const IS_DELTA = 2;

const SCHEMA_HEADER = 1;
const DICTIONARY_HEADER = 2;
const RECORD_BATCH_HEADER = 3;
const HEADERS: readonly (TableSpec | undefined)[] = [
  undefined,
  SCHEMA,
  DICTIONARY_BATCH,
  RECORD_BATCH,
  NOTHING, // Tensor
  NOTHING, // SparseTensor
];

const MESSAGE: TableSpec = [
  inline(2),
  inline(1),
  { kind: "union", of: (type) => HEADERS[type] },
  inline(8),
  tables(() => KEY_VALUE),
];
const VERSION = 0;
/** Versions count from 0. */
const VERSION_4 = 3;
const HEADER_TYPE = 1;
const HEADER = 2;
const BODY_LENGTH = 3;
const CUSTOM_METADATA = 4;

/** A sound stream that would not be read as what it is. */
function refuse(reason: string): PartdError {
  return new PartdError("ERR_PARTD_CODEC", `${reason}.`);
}

function cutShort(): Error {
  return new Error("it is cut short, or no Arrow IPC stream.");
}

function outside(): Error {
  return new Error("a batch has fewer bytes than its metadata say.");
}
