import * as arrow from "apache-arrow";
import { type DataType, Field, Table, type Vector, vectorFromArray } from "apache-arrow";

const column = (type: DataType, values: readonly unknown[]) =>
  vectorFromArray(values as never, type) as Vector;
const item = (type: DataType) => new Field("item", type, true);
const numbers = [1, null, 3, 4, 5];
const texts = ["a", null, "", "Grüße", "one of more than twelve bytes"];
const binaries = texts.map((text) => text && Buffer.from(text));
const names = new arrow.Dictionary(new arrow.Utf8(), new arrow.Int8());
const pair = new arrow.Struct([new Field("s", new arrow.Utf8(), true), item(new arrow.Int32())]);

/** The first two have only what pandas has as well. */
export const tables: readonly Table[] = [
  new Table({
    a: column(new arrow.Int32(), [1, 2, 3]),
    b: column(new arrow.Utf8(), ["x", "y", "z"]),
  }),
  new Table({
    a: column(new arrow.Float64(), [1.5, Number.NaN]),
    c: column(new arrow.Bool(), [true, false]),
  }),
  new Table({
    a: column(new arrow.Int64(), [1n, null, 3n, 4n, 5n]),
    b: column(new arrow.Utf8View(), texts),
    c: column(new arrow.Binary(), binaries),
    d: column(names, texts),
    e: column(new arrow.Null(), [null, null, null, null, null]),
    f: column(new arrow.TimestampNanosecond("UTC"), numbers),
  }),
  new Table({
    a: column(new arrow.List(item(new arrow.List(item(new arrow.Utf8())))), [
      [["x"], []],
      null,
      [],
      [["y", null]],
      [],
    ]),
    b: column(
      pair,
      texts.map((s, i) => (i === 2 ? null : { s, item: i })),
    ),
    c: column(new arrow.FixedSizeList(2, item(new arrow.Int16())), [
      [1, 2],
      null,
      [3, 4],
      [5, 6],
      [7, 8],
    ]),
    d: column(
      new arrow.FixedSizeBinary(3),
      numbers.map((n) => n && Uint8Array.of(n, n, n)),
    ),
    e: column(new arrow.LargeUtf8(), texts),
    f: column(new arrow.Dictionary(new arrow.List(item(new arrow.Int8())), new arrow.Int16()), [
      [1],
      [2],
      null,
      [1],
      [],
    ]),
  }),
  new Table({ a: column(names, ["p", "q", "p"]) }).concat(
    new Table({ a: column(names, ["r", "p"]) }),
  ),
  new Table({ a: column(new arrow.Utf8(), []) }),
];
