import { createRequire } from "node:module";
import { asyncBufferFromFile, parquetMetadataAsync, parquetRead } from "hyparquet";
import { compressors } from "hyparquet-compressors";

/** A US domestic flight of the first half of 2001. */
export interface Flight {
  /** Departure, as ISO 8601 text. */
  readonly date: string;
  /** Arrival after schedule, in minutes. */
  readonly delay: number;
  /** In miles. */
  readonly distance: number;
  /** Airports, by their IATA codes. */
  readonly origin: string;
  readonly destination: string;
}

/** The flights of the Parquet file in the npm package `vega-datasets`, a batch at a time. */
export class FlightFile {
  readonly #file;
  readonly #metadata;
  readonly #limit: number;

  /** @param limit how many flights to read, from the first on. */
  static async open(limit: number): Promise<FlightFile> {
    const require = createRequire(import.meta.url);
    const path = require
      .resolve("vega-datasets")
      .replace(/build.[^/\\]*$/, "data/flights-3m.parquet");
    const file = await asyncBufferFromFile(path);
    return new FlightFile(file, await parquetMetadataAsync(file), limit);
  }

  private constructor(
    file: Awaited<ReturnType<typeof asyncBufferFromFile>>,
    metadata: Awaited<ReturnType<typeof parquetMetadataAsync>>,
    limit: number,
  ) {
    this.#file = file;
    this.#metadata = metadata;
    this.#limit = limit;
  }

  get count(): number {
    return Math.min(this.#limit, Number(this.#metadata.num_rows));
  }

  async *batches(size: number): AsyncGenerator<Flight[]> {
    // A row group is what the format can read at once: memory holds the columns of one of them,
    // and the objects of one batch.
    let groupStart = 0;
    for (const group of this.#metadata.row_groups) {
      const groupEnd = groupStart + Number(group.num_rows);
      const columns = await this.#columns(groupStart, groupEnd);
      const count = Math.min(groupEnd, this.count) - groupStart;
      for (let start = 0; start < count; start += size) {
        const length = Math.min(size, count - start);
        yield Array.from({ length }, (_, i) => flightOf(columns, start + i));
      }
      groupStart = groupEnd;
      if (groupStart >= this.count) return;
    }
  }

  async #columns(rowStart: number, rowEnd: number): Promise<Columns> {
    const columns: Columns = new Map();
    await parquetRead({
      file: this.#file,
      metadata: this.#metadata,
      compressors,
      rowStart,
      rowEnd,
      onChunk({ columnName, columnData }) {
        columns.set(columnName, [...(columns.get(columnName) ?? []), columnData]);
      },
    });
    return columns;
  }
}

/** By name, each in the pieces that the reader gave. */
type Columns = Map<string, ArrayLike<unknown>[]>;

function flightOf(columns: Columns, row: number): Flight {
  return {
    date: (cell(columns, "date", row) as Date).toISOString(),
    delay: Number(cell(columns, "delay", row)),
    distance: Number(cell(columns, "distance", row)),
    origin: String(cell(columns, "origin", row)),
    destination: String(cell(columns, "destination", row)),
  };
}

function cell(columns: Columns, name: string, row: number): unknown {
  let left = row;
  for (const piece of columns.get(name) ?? []) {
    if (left < piece.length) return piece[left];
    left -= piece.length;
  }
  throw new Error(`The file has no column ${name} for row ${row} of its group.`);
}
