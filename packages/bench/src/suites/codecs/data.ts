import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Dictionary, Int16, Int32, Table, Utf8, vectorFromArray } from "apache-arrow";

/** By its place, because the package exports only code. */
export const DATA_FOLDER = fileURLToPath(
  new URL("../../../node_modules/vega-datasets/data/", import.meta.url),
);

export type RecordsName = "flights" | "earthquakes";

export interface Flight {
  readonly date: string;
  readonly delay: number;
  readonly distance: number;
  readonly origin: string;
  readonly destination: string;
}

export const RECORDS = 1000;

/** Lists of 1,000 records: 20 of flights, of five flat fields; 10 of earthquakes, nested and of many. */
export function recordLists(name: RecordsName): unknown[][] {
  if (name === "flights") return slices(flights(), RECORDS, LISTS.flights);
  const { features } = read("earthquakes.json") as { features: unknown[] };
  return slices(
    [...features, ...features, ...features, ...features, ...features, ...features],
    RECORDS,
    LISTS.earthquakes,
  );
}

/** A million numbers: delays of flights, again and again. */
export function delays(count: number): Float64Array {
  const all = flights();
  return Float64Array.from(
    { length: count },
    (_, i) => (all[i % all.length] as Flight).delay + i / 2 ** 20,
  );
}

/** Tables of flights, of `rows` rows each; the airports are dictionaries of each table's own. */
export function flightTables(rows: number, count: number): Table[] {
  const airports = () => new Dictionary(new Utf8(), new Int32());
  return slices(flights(), rows, count).map(
    (list) =>
      new Table({
        date: vectorFromArray(
          list.map(({ date }) => date),
          new Utf8(),
        ),
        delay: vectorFromArray(
          list.map(({ delay }) => delay),
          new Int16(),
        ),
        distance: vectorFromArray(
          list.map(({ distance }) => distance),
          new Int16(),
        ),
        origin: vectorFromArray(
          list.map(({ origin }) => origin),
          airports(),
        ),
        destination: vectorFromArray(
          list.map(({ destination }) => destination),
          airports(),
        ),
      }),
  );
}

function flights(): Flight[] {
  return read("flights-20k.json") as Flight[];
}

function slices<T>(items: readonly T[], length: number, count: number): T[][] {
  return Array.from({ length: count }, (_, i) => items.slice(i * length, (i + 1) * length));
}

/** How many lists of {@link recordLists} there are. */
export const LISTS: Readonly<Record<RecordsName, number>> = { flights: 20, earthquakes: 10 };

function read(file: string): unknown {
  return JSON.parse(readFileSync(DATA_FOLDER + file, "utf8"));
}
