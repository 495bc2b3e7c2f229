import { arrowCodec } from "@partd/codec-arrow";
import { PyDtype, PyNdArray, PyTuple, pyTuple } from "@partd/codec-pickle";
import { type Codec, Encode, type EncodeOptions, PartdError, type Store } from "@partd/core";
import { concatBytes, ENCODE_OPTIONS, frame, splitFrames, takeOptions } from "@partd/core/author";
import { Table, type Vector } from "apache-arrow";
import { fromColumn, itemSizeOf, refuse, toColumn, type Values } from "./column.js";
import { decodeLabels, encodeLabels } from "./column-labels.js";
import { Compression, type CompressionOptions } from "./compression.js";
import { Damage, explained } from "./damage.js";
import { decodeIndex, encodeIndex, pickledLevel } from "./frame-index.js";
import { joinable } from "./joinable.js";
import { packed, pickler, unpacked, unpickler } from "./packed.js";
import { arrayColumn, indexValues, pickledZone, pyArray, zoneName } from "./pickled-array.js";
import { type Column, partsOf, tableOf } from "./table.js";

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
      const filled = frames.filter(({ numRows }) => numRows > 0);
      const some = filled.length > 0 ? filled : frames.slice(0, 1);
      return tables.join((some.length > 1 ? joinable(some) : some) as never) as never;
    },
  };
}

/** Decodes one frame of Python's `PandasBlocks`. */
async function decodeFrame(bytes: Uint8Array, compression: Compression): Promise<Table> {
  const [head, ...parts] = splitFrames(bytes, "").map(({ bytes: part }) => part);
  const headers = head && unpickler.load(head);
  if (!Array.isArray(headers) || headers.length !== parts.length || headers.length < 2) {
    throw new Damage("it is not a frame of pandas.");
  }
  const { names, labels } = await decodeLabels(
    headers[0],
    parts[0] as Uint8Array,
    compression,
    bytes.byteLength,
  );
  const index = await decodeIndex(headers[1], parts[1] as Uint8Array, compression);
  const columns: Column[] = [];
  for (let i = 2; i < headers.length; i++) {
    for (const [place, column] of await decodeBlock(
      headers[i],
      parts[i] as Uint8Array,
      names,
      compression,
    )) {
      columns[place] = [names[place] as string, column];
    }
  }
  if (columns.length !== names.length || columns.includes(undefined as never)) {
    throw new Damage("a column has no block.");
  }
  return tableOf(columns, index, labels);
}

/** Encodes a table as one frame of Python's `PandasBlocks`. */
async function encodeFrame(table: Table, compression: Compression): Promise<Uint8Array> {
  const { columns, index } = partsOf(table);
  const encoded: [header: unknown, part: Uint8Array][] = [
    await encodeLabels(columns, table, compression),
    await encodeIndex(index, compression),
  ];
  const taken: [Values, Vector, name: string][] = [];
  for (const [i, [name, column]] of columns.entries()) {
    const values = fromColumn(column, name);
    taken.push([values, column, name]);
    const { dtype, categories, ordered, timezone } = values;
    const place = pyArray({
      dtype: "<i8",
      data: new Uint8Array(BigInt64Array.of(BigInt(i)).buffer),
    });
    const extension = categories
      ? pyTuple("categorical_type", pyTuple(ordered ?? false, pickledLevel(categories, null)))
      : timezone !== undefined
        ? pyTuple("datetime64_tz_type", pyTuple(pickledZone(timezone)))
        : pyTuple("numpy_type", pyTuple());
    const flat = categories !== undefined || timezone !== undefined;
    const shape = flat ? pyTuple(column.length) : pyTuple(1, column.length);
    const stored = timezone !== undefined ? "<i8" : dtype;
    encoded.push([
      pyTuple(place, new PyDtype(stored === "|O" ? "|O8" : stored), shape, extension),
      await packed(values, compression),
    ]);
  }
  // Now: memory may have been transferred or resized since it was looked at.
  for (const [{ dtype, data }, { length }, name] of taken) {
    if (Array.isArray(data) || data.length === length * itemSizeOf(dtype)) continue;
    throw refuse(name, "it has fewer values than rows");
  }
  const headers = pickler.dump(encoded.map(([header]) => header));
  return concatBytes([headers, ...encoded.map(([, part]) => part)].map(frame));
}

async function decodeBlock(
  header: unknown,
  bytes: Uint8Array,
  names: readonly string[],
  compression: Compression,
): Promise<[place: number, column: Vector][]> {
  const [placement, dtype, shape, extension] = (
    header instanceof PyTuple ? header : []
  ) as unknown[];
  if (
    !(placement instanceof PyNdArray) ||
    !(shape instanceof PyTuple) ||
    !(extension instanceof PyTuple)
  ) {
    throw new Damage("a block is none.");
  }
  const places = Array.from(
    toColumn({ dtype: placement.dtype.text, data: placement.data }, "blocks"),
    Number,
  );
  const name = names[places[0] as number] ?? "";
  const rows = Number(shape.at(-1));
  const [kind, details] = extension as unknown as [unknown, PyTuple];
  if (kind === "other") {
    const whole = arrayColumn(unpickler.load(bytes), name);
    return split(whole, places, rows);
  }
  if (!(dtype instanceof PyDtype)) throw new Damage("a block has no dtype.");
  const items = shape.reduce((product: number, length) => product * Number(length), 1);
  const values = await unpacked(bytes, dtype, items, compression);
  switch (kind) {
    case "numpy_type":
      return split(toColumn(values, name), places, rows);
    case "categorical_type":
      return split(
        toColumn(values, name, {
          ordered: details[0] === true,
          categories: indexValues(details[1], name),
        }),
        places,
        rows,
      );
    case "datetime64_tz_type":
      return split(
        toColumn({ ...values, dtype: "<M8[ns]" }, name, { timezone: zoneName(details[0], name) }),
        places,
        rows,
      );
    default:
      throw new Damage("a block is of an unknown kind.");
  }
}

/** Splits a block: its rows are columns of the frame. */
function split(whole: Vector, places: readonly number[], rows: number): [number, Vector][] {
  if (whole.length !== rows * places.length)
    throw new Damage("a block has not the shape it claims.");
  return places.map((place, i) => [place, whole.slice(i * rows, (i + 1) * rows)]);
}
