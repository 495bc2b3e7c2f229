import { CheckedTable, type FieldSpec, type TableSpec } from "./flatbuffer.js";

/**
 * Throws unless `bytes` are exactly one Arrow IPC stream with valid metadata, whose buffers lie
 * within its messages. `apache-arrow` checks none of this.
 *
 * @see https://arrow.apache.org/docs/format/Columnar.html#encapsulated-message-format
 */
export function checkStream(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let columns: Columns | undefined;
  for (let at = 0; ; ) {
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
    columns = checkMessage(message, bodyLength, columns);
    at += bodyLength;
  }
  if (columns === undefined) throw new Error("it is an Arrow IPC stream without a schema.");
}

/** The index of each column's node in a record batch, and the number of all nodes. */
interface Columns {
  readonly places: readonly number[];
  readonly nodes: number;
}

function checkMessage(
  message: CheckedTable,
  bodyLength: number,
  columns: Columns | undefined,
): Columns {
  const type = message.byte(HEADER_TYPE);
  const header = message.table(HEADER);
  if (header === undefined || (columns === undefined) !== (type === SCHEMA_HEADER)) {
    throw new Error("it does not begin with a schema, and go on with its batches.");
  }
  if (columns === undefined) return columnsOf(header);
  const isDictionary = type === DICTIONARY_HEADER;
  const batch = isDictionary ? header.table(DICTIONARY_DATA) : header;
  if (batch === undefined) throw new Error("a dictionary is missing.");
  const rows = batch.long(ROWS);
  const nodes = batch.longs(NODES, 2);
  const buffers = batch.longs(BUFFERS, 2);
  if (rows < 0 || buffers.includes(-1)) throw outside();
  // Check the lengths. The null counts between them may be -1, for unknown.
  for (let i = 0; i < nodes.length; i += 2) if (nodes[i] === -1) throw outside();
  for (let i = 0; i < buffers.length; i += 2) {
    if ((buffers[i] as number) + (buffers[i + 1] as number) > bodyLength) throw outside();
  }
  const views = batch.longs(VARIADIC_COUNTS, 1).reduce((sum, count) => sum + Math.abs(count), 0);
  if (views > buffers.length / 2) throw outside();
  // The reader pads shorter columns to `rows`, so that a forged number would take memory.
  const { places } = isDictionary ? ONE_COLUMN : columns;
  if (!isDictionary && nodes.length !== columns.nodes * 2) throw outside();
  for (const place of places) if (nodes[place * 2] !== rows) throw outside();
  return columns;
}

function columnsOf(schema: CheckedTable): Columns {
  const places: number[] = [];
  let nodes = 0;
  for (const field of schema.tables(SCHEMA_FIELDS)) {
    places.push(nodes);
    nodes += nodesOf(field);
  }
  return { places, nodes };
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
const FIELD_DICTIONARY = 4;
const FIELD_CHILDREN = 5;

const SCHEMA: TableSpec = [
  inline(2),
  tables(() => FIELD),
  tables(() => KEY_VALUE),
  { kind: "vector", size: 8 },
];
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
