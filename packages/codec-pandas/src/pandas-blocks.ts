import { arrowCodec } from "@partd/codec-arrow";
import { type Codec, Encode, type EncodeOptions, PartdError, type Store } from "@partd/core";
import { ENCODE_OPTIONS, takeOptions } from "@partd/core/author";
import { Table, vectorFromArray } from "apache-arrow";
import { refuse } from "./column.js";
import { Compression, type CompressionOptions } from "./compression.js";
import { explained } from "./damage.js";
import { decodeFrame, encodeFrame } from "./frame.js";
import { labelsOf, levelName, partsOf, type RangeIndex, tableOf } from "./table.js";

export interface PandasBlocksOptions extends CompressionOptions, EncodeOptions {}

/**
 * A store of tables over a store of bytes, which are those of Python's `partd.PandasBlocks`.
 * `append` adds a table's rows to those of its key, `get` returns one table of all rows, and
 * `stream` yields the tables as they were appended.
 *
 * The columns of a frame's index come last, and the schema's metadata `pandas` name them
 * (`index_columns`), as in pandas' own Arrow metadata.
 *
 * @example new PandasBlocks(new FileStore("shuffle"), { blosc: true, snappy: true })
 */
export class PandasBlocks extends Encode<Table> {
  constructor(store: Store, options: PandasBlocksOptions = {}) {
    const names = { ...ENCODE_OPTIONS, blosc: "boolean", snappy: "boolean" } as const;
    const taken = takeOptions("new PandasBlocks", options, names, new.target !== PandasBlocks);
    super(store, pandasBlocksCodec(taken), taken);
  }
}

/** The codec of {@link PandasBlocks}. */
export function pandasBlocksCodec(options: CompressionOptions = {}): Codec<Table> {
  const compression = new Compression(options);
  const tables = arrowCodec();
  return {
    name: "pandas",

    encode(table) {
      if (!(table instanceof Table)) {
        throw new PartdError("ERR_PARTD_CODEC", "it takes a Table of apache-arrow.");
      }
      return encodeFrame(table, compression);
    },

    async decode(bytes) {
      try {
        return await decodeFrame(bytes, compression);
      } catch (error) {
        throw explained(error);
      }
    },

    join(frames) {
      if (frames.length <= 1) return frames[0] ?? new Table();
      // As in pandas.concat: when several frames are joined, a range becomes a column of numbers.
      const filled = frames.filter(({ numRows }) => numRows > 0);
      const some = filled.length > 0 ? filled : frames.slice(0, 1);
      return tables.join((some.length > 1 ? some.map(withIndexColumn) : some) as never) as never;
    },
  };
}

function withIndexColumn(table: Table): Table {
  const { columns, index } = partsOf(table);
  if (!("kind" in index)) return table;
  // A few bytes may claim any range; with columns, each row has bytes.
  if (columns.length === 0 && table.numRows > MOST_OF_RANGE) {
    throw refuse("", `a range of ${table.numRows} rows without a column is not joined to others`);
  }
  const level = [levelName(index.name, 0), rangeColumn(index, table.numRows), index.name] as const;
  return tableOf(columns, [level], labelsOf(table));
}

const MOST_OF_RANGE = 2 ** 16;

function rangeColumn({ start, step }: RangeIndex, rows: number) {
  const numbers = BigInt64Array.from({ length: rows }, (_, i) => BigInt(start + i * step));
  return vectorFromArray(numbers);
}
