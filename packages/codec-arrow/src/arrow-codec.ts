import { type Codec, PartdError } from "@partd/core";
import {
  makeData,
  RecordBatch,
  RecordBatchReader,
  type Schema,
  Struct,
  Table,
  type TypeMap,
  tableToIPC,
} from "apache-arrow";
import { checkBuffers } from "./check-buffers.js";
import { checkStream } from "./check-stream.js";
import { checkWritable } from "./check-writable.js";
import { joinTables } from "./join-tables.js";

/** Columns that the compiler does not know, as `Table` without a parameter has them. */
export type UnknownColumns = Table extends Table<infer T> ? T : TypeMap;

export interface ArrowCodecOptions {
  /**
   * What tables of one key may be. `"same"`, the default: all have the same columns of the same
   * types. `"merge"`: columns go by name, and a row is null in those that its table had not. Columns
   * of one name have one type either way.
   */
  readonly schema?: "same" | "merge" | undefined;
  /**
   * Names of the columns to decode, in the order of the answer. Default: all. One that is not there
   * is `ERR_PARTD_CODEC`; where tables are merged, one that is in none of them.
   */
  readonly columns?: readonly string[] | undefined;
}

/**
 * Apache Arrow tables, each as one stream of the Arrow IPC format
 * (https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format). What is decoded are
 * views of the bytes. Tables are joined without a copy of what is in their columns; the codes of
 * dictionary columns alone are written anew where their dictionaries differ.
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
      // For `instanceof` a Table of another copy is one as well, but what is written of it is damaged.
      if (!Function.prototype[Symbol.hasInstance].call(Table, table)) {
        throw new PartdError(
          "ERR_PARTD_CODEC",
          "the Table is of another copy of apache-arrow than this package's; install one version, and import it rather than require it.",
        );
      }
      for (const { data } of table.batches) checkWritable(data);
      return tableToIPC(table, "stream");
    },

    decode(bytes) {
      checkStream(bytes);
      const reader = RecordBatchReader.from<T>(bytes).open();
      const { schema } = reader;
      const selected = options.columns && select(schema, options.columns, mode);
      const batches: RecordBatch<T>[] = [];
      for (const batch of reader) {
        if (batch.numRows === 0) continue; // The reader's own, where the stream has none.
        const needed = selected ? selected.from(batch) : batch;
        for (const column of needed.data.children) checkBuffers(column);
        batches.push(needed);
      }
      return new Table(selected?.schema ?? schema, batches);
    },

    join: (tables) => joinTables(tables, mode, options.columns),
  };
}

/** Only some of a table's columns. (`Table.select` would keep the table's order.) */
function select<T extends TypeMap>(
  schema: Schema<T>,
  columns: readonly string[],
  mode: "same" | "merge",
) {
  const places = columns.flatMap((name) => {
    const place = schema.fields.findIndex((field) => field.name === name);
    if (place >= 0) return [place];
    if (mode === "merge") return []; // Another table may have it.
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
