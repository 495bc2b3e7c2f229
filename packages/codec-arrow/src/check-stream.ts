import { CheckedTable, type FieldSpec, type TableSpec } from "./flatbuffer.js";

/**
 * Throws unless `bytes` are one whole Arrow IPC stream, whose metadata can be read and whose buffers
 * lie within its messages. `apache-arrow` trusts all of that.
 *
 * @see https://arrow.apache.org/docs/format/Columnar.html#encapsulated-message-format
 */
export function checkStream(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let seen = 0;
  for (let at = 0; ; seen++) {
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
    const message = CheckedTable.root(bytes.subarray(at, at + length), MESSAGE);
    at += length;
    const bodyLength = message.long(BODY_LENGTH);
    if (bodyLength < 0 || at + bodyLength > bytes.byteLength) throw cutShort();
    checkMessage(message, bodyLength, seen === 0);
    at += bodyLength;
  }
  if (seen === 0) throw new Error("it is an Arrow IPC stream without a schema.");
}

function checkMessage(message: CheckedTable, bodyLength: number, first: boolean): void {
  const type = message.byte(HEADER_TYPE);
  const header = message.table(HEADER);
  if (header === undefined || first !== (type === SCHEMA_HEADER)) {
    throw new Error("it does not begin with a schema, and go on with its batches.");
  }
  if (type === SCHEMA_HEADER) return;
  const batch = type === DICTIONARY_HEADER ? header.table(DICTIONARY_DATA) : header;
  if (batch === undefined) throw new Error("a dictionary is missing.");
  const rows = batch.long(ROWS);
  const nodes = batch.longs(NODES, 2);
  const buffers = batch.longs(BUFFERS, 2);
  if (rows < 0 || nodes.includes(-1) || buffers.includes(-1)) throw outside();
  for (let i = 0; i < buffers.length; i += 2) {
    if ((buffers[i] as number) + (buffers[i + 1] as number) > bodyLength) throw outside();
  }
  const views = batch.longs(VARIADIC_COUNTS, 1).reduce((sum, count) => sum + Math.abs(count), 0);
  if (views > buffers.length / 2) throw outside();
  // The reader fills shorter columns up, so that the number of rows is not to be taken on trust. A
  // row takes a bit of the body at least, but for columns of nothing, which have no buffers.
  if (nodes.length > 0 && nodes[0] !== rows) throw outside();
  const compressed = batch.table(COMPRESSION) !== undefined;
  if (buffers.length > 0 && !compressed && rows > bodyLength * 8) throw outside();
}

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

/** By the number that stands for the type. */
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

const SCHEMA: TableSpec = [
  inline(2),
  tables(() => FIELD),
  tables(() => KEY_VALUE),
  { kind: "vector", size: 8 },
];

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
const DICTIONARY_DATA = 1;

const SCHEMA_HEADER = 1;
const DICTIONARY_HEADER = 2;
const HEADERS: readonly (TableSpec | undefined)[] = [
  undefined,
  SCHEMA,
  DICTIONARY_BATCH,
  RECORD_BATCH,
];

const MESSAGE: TableSpec = [
  inline(2),
  inline(1),
  { kind: "union", of: (type) => HEADERS[type] },
  inline(8),
  tables(() => KEY_VALUE),
];
const HEADER_TYPE = 1;
const HEADER = 2;
const BODY_LENGTH = 3;

function cutShort(): Error {
  return new Error("it is cut short, or no Arrow IPC stream.");
}

function outside(): Error {
  return new Error("a batch has fewer bytes than its metadata say.");
}
