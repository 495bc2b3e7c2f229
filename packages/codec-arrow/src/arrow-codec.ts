import { type Codec, isPartdError, PartdError } from "@partd/core";
import { allocateEncoded, concatBytes } from "@partd/core/author";
import {
  AsyncByteQueue,
  type Data,
  DataType,
  Dictionary,
  Field,
  makeData,
  RecordBatch,
  RecordBatchReader,
  RecordBatchStreamWriter,
  Schema,
  Struct,
  Table,
  type TypeMap,
} from "apache-arrow";
import { checkColumn, Damage } from "./check-columns.js";
import { type CheckedStream, checkStream, type SchemaForm } from "./check-stream.js";
import { flatBatches, isFlat } from "./flat-batches.js";
import { joinTables } from "./join-tables.js";
import { withNames, withType } from "./types.js";
import { writableTable } from "./writable.js";

/** The columns of a table whose type parameter is not given. */
export type UnknownColumns = Table extends Table<infer T> ? T : TypeMap;

export interface ArrowCodecOptions {
  /**
   * How the schemas of one key's tables relate. `"same"`, the default: all tables have the same
   * columns of the same types. `"merge"`: columns are matched by name, and a row is null in the
   * columns that its table lacks. Either way, columns of one name have one type.
   */
  readonly schema?: "same" | "merge" | undefined;
  /**
   * Names of the columns to decode, in the order of the result. Default: all. A missing column is
   * `ERR_PARTD_CODEC`; with `"merge"`, a column that no table has.
   */
  readonly columns?: readonly string[] | undefined;
}

/**
 * Apache Arrow tables, each as one stream of the Arrow IPC format
 * (https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format). Decoded columns are
 * views of the bytes. Joining tables copies no column data, except the codes of dictionary columns
 * whose dictionaries differ.
 */
export function arrowCodec<T extends TypeMap = UnknownColumns>(
  options: ArrowCodecOptions = {},
): Codec<Table<T>> {
  const mode = options.schema ?? "same";
  return {
    name: "arrow",

    encode(table) {
      if (!(table instanceof Table)) {
        throw new PartdError("ERR_PARTD_CODEC", "it takes a Table of apache-arrow.");
      }
      // apache-arrow's `instanceof` accepts a Table of another copy of the package, and then writes
      // it damaged. Compare the prototypes instead.
      if (!Function.prototype[Symbol.hasInstance].call(Table, table)) {
        throw new PartdError(
          "ERR_PARTD_CODEC",
          "the Table is of another copy of apache-arrow than this package's; install one version, and import it rather than require it.",
        );
      }
      const writable = writableTable(table);
      const bytes = write(writable);
      // Refuse to append what `decode` would refuse.
      try {
        if (!checkPlainColumns(writable)) read<T>(bytes);
      } catch (cause) {
        throw new PartdError(
          "ERR_PARTD_CODEC",
          `what apache-arrow writes for it could not be read: ${(cause as Error).message} Columns of one table have one length.`,
          { cause },
        );
      }
      return bytes;
    },

    decode: (bytes) => read<T>(bytes, options),

    join: (tables) => joinTables(tables, mode, options.columns),
  };
}

/** Writes a stream as `tableToIPC` does, with headroom. */
function write(table: Table): Uint8Array {
  const sink = new Pieces();
  new RecordBatchStreamWriter().reset(sink).writeAll(table);
  return concatBytes(sink.pieces, allocateEncoded);
}

/** Receives what the writer writes. The pieces may be views of the table. */
class Pieces extends AsyncByteQueue {
  readonly pieces: Uint8Array[] = [];

  override write(piece: Uint8Array): void {
    this.pieces.push(piece);
  }
}

/** Reads a stream, and checks everything that `apache-arrow` trusts. */
function read<T extends TypeMap>(bytes: Uint8Array, options: ArrowCodecOptions = {}): Table<T> {
  const stream = checkStream(bytes);
  try {
    return readChecked<T>(bytes, stream, options);
  } catch (error) {
    throw isPartdError(error) || error instanceof Damage ? error : explained(error as Error);
  }
}

/**
 * An error of `apache-arrow` about a stream, in plain words: for damaged metadata it names its own
 * variables. Unknown types and compressions are not damage.
 */
function explained(error: Error): Error {
  const { message } = error;
  const type = /^Unrecognized type: "([A-Z]\w+)"/.exec(message)?.[1];
  if (type !== undefined) {
    return refuse(
      `apache-arrow does not read its type ${type}; convert the column where it is written`,
      error,
    );
  }
  if (message.includes("compressed but codec not found")) {
    return refuse(
      "its buffers are compressed; register a codec with apache-arrow's compressionRegistry",
      error,
    );
  }
  return new Error("its types, or the buffers of its batches, do not fit one another.", {
    cause: error,
  });
}

function refuse(reason: string, cause: Error): PartdError {
  return new PartdError("ERR_PARTD_CODEC", `${reason}.`, { cause });
}

function readChecked<T extends TypeMap>(
  bytes: Uint8Array,
  stream: CheckedStream,
  { columns, schema: mode = "same" }: ArrowCodecOptions,
): Table<T> {
  const { schema, batches: all } = readFlat<T>(bytes, stream) ?? readAny<T>(bytes);
  const selected = columns && select(schema, columns, mode);
  const batches: RecordBatch<T>[] = [];
  for (const batch of all) {
    if (batch.numRows === 0) continue; // The reader makes an empty batch if the stream has none.
    const needed = selected ? selected.from(batch) : batch;
    for (const column of needed.data.children) checkColumn(column);
    batches.push(needed);
  }
  return new Table(selected?.schema ?? schema, batches);
}

interface Read<T extends TypeMap> {
  readonly schema: Schema<T>;
  readonly batches: Iterable<RecordBatch<T>>;
}

/** `undefined` for a stream that needs the reader, or its error. */
function readFlat<T extends TypeMap>(
  bytes: Uint8Array,
  { schema: { form, ids }, batches: checked }: CheckedStream,
): Read<T> | undefined {
  if (ids.includes(-1) || new Set(ids).size < ids.length) return undefined;
  let known = schemas.get(form);
  if (known === undefined) {
    known = schemaOf(RecordBatchReader.from(bytes).open().schema);
    schemas.set(form, known);
  }
  if (!isFlat(known)) return undefined;
  const schema = withIds<T>(known, ids);
  const batches = flatBatches(schema, checked);
  return batches && { schema, batches };
}

/** The first schema of each form. */
const schemas = new WeakMap<SchemaForm, Schema>();

/** A flat schema of its own for a table: a program may change its metadata. */
function withIds<T extends TypeMap>(schema: Schema, ids: readonly number[]): Schema<T> {
  let next = 0;
  const fields = schema.fields.map(({ name, type, nullable, metadata }) => {
    const own = DataType.isDictionary(type)
      ? new Dictionary(type.dictionary, type.indices, ids[next++], type.isOrdered)
      : type;
    return new Field(name, own, nullable, new Map(metadata));
  }) as Field<T[keyof T]>[];
  return new Schema<T>(fields, new Map(schema.metadata), undefined, schema.metadataVersion);
}

/**
 * With a name for each field.
 *
 * @throws Damage if a column is of a type that does not exist: the reader finds this only in a batch.
 */
function schemaOf<T extends TypeMap>(read: Schema<T>): Schema<T> {
  for (const { type } of read.fields) checkArrayType(type);
  const fields = read.fields.map(withNames) as typeof read.fields;
  const isNamed = fields.every((field, i) => field === read.fields[i]);
  return isNamed ? read : new Schema<T>(fields, read.metadata);
}

/** An integer may be of 7 bits by damaged metadata, and there is no array of these. */
function checkArrayType(type: DataType): void {
  if (DataType.isDictionary(type)) {
    checkArrayType(type.indices);
    checkArrayType(type.dictionary);
    return;
  }
  for (const child of (type.children ?? []) as Field[]) checkArrayType(child.type);
  if (!DataType.isInt(type) && !DataType.isFloat(type)) return;
  try {
    type.ArrayType; // A getter, which throws.
  } catch {
    throw new Damage(`there is no type ${String(type)}.`);
  }
}

function readAny<T extends TypeMap>(bytes: Uint8Array): Read<T> {
  const reader = RecordBatchReader.from<T>(bytes).open();
  const schema = schemaOf(reader.schema);
  return { schema, batches: schema === reader.schema ? reader : named() };

  function* named() {
    for (const batch of reader) yield renamed(batch, schema);
  }
}

function renamed<T extends TypeMap>(batch: RecordBatch<T>, schema: Schema<T>): RecordBatch<T> {
  return new RecordBatch<T>(
    schema,
    withType(batch.data, new Struct<T>(schema.fields)) as typeof batch.data,
  );
}

/** A table's columns of these names, in their order. (`Table.select` keeps the table's order.) */
function select<T extends TypeMap>(
  schema: Schema<T>,
  columns: readonly string[],
  mode: "same" | "merge",
) {
  const places = columns.flatMap((name) => {
    const place = schema.fields.findIndex((field) => field.name === name);
    if (place >= 0) return [place];
    if (mode === "merge") return []; // Another table may have the column.
    const names = schema.fields.map((field) => JSON.stringify(field.name)).join(", ");
    throw new PartdError(
      "ERR_PARTD_CODEC",
      `there is no column ${JSON.stringify(name)}; there are ${names}.`,
    );
  });
  const selected = schema.selectAt<T>(places);
  return {
    schema: selected,
    from(batch: RecordBatch<T>): RecordBatch<T> {
      const children = places.map(
        (place) => batch.data.children[place] as (typeof batch.data.children)[0],
      );
      const type = new Struct<T>(selected.fields);
      const data = makeData({ type, length: batch.numRows, nullCount: 0, children });
      return new RecordBatch<T>(selected, data);
    },
  };
}

/**
 * Checks a table in memory, if that proves that its stream can be read: reading the stream back takes
 * as long as writing it. Returns false for a table that has to be read back, because a column's type is
 * written in another form than it is held in, or a column is not held as its type says.
 *
 * @throws Error if a column's buffers are shorter than its length says, or its type does not exist.
 */
function checkPlainColumns(table: Table): boolean {
  const { schema, batches } = table;
  const dictionaries = new Set<number>();
  for (const { name, type } of schema.fields) {
    checkArrayType(type);
    if (typeof name !== "string" || !isPlain(type)) return false;
    if (!DataType.isDictionary(type)) continue;
    // The stream names a dictionary by its id, and adds to it or replaces it between batches.
    if (dictionaries.has(type.id) || batches.length > 1) return false;
    dictionaries.add(type.id);
  }
  for (const batch of batches) {
    const { children } = batch.data;
    if (batch.schema !== schema || children.length !== schema.fields.length) return false;
    const isHeld = children.every(
      (column, i) =>
        column.type === schema.fields[i]?.type &&
        column.length === batch.numRows &&
        isHeldAsTyped(column),
    );
    if (!isHeld) return false;
    for (const column of children) checkColumn(column);
  }
  return true;
}

function isPlain(type: DataType): boolean {
  if (DataType.isDictionary(type)) {
    return !DataType.isDictionary(type.dictionary) && isPlain(type.dictionary);
  }
  return DataType.isInt(type) || DataType.isFloat(type) || DataType.isUtf8(type);
}

/** Whether the arrays of a plain column are those of its type. */
function isHeldAsTyped({ type, values, valueOffsets, dictionary }: Data): boolean {
  if (DataType.isDictionary(type)) {
    const [only] = dictionary?.data ?? [];
    return (
      values instanceof type.indices.ArrayType &&
      only !== undefined &&
      dictionary?.data.length === 1 &&
      only.type === type.dictionary &&
      isHeldAsTyped(only)
    );
  }
  const isText = DataType.isUtf8(type);
  return values instanceof type.ArrayType && (!isText || valueOffsets instanceof Int32Array);
}
