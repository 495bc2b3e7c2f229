import { createRequire } from "node:module";
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
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

  static async open(limit = Number.POSITIVE_INFINITY): Promise<FlightFile> {
    const require = createRequire(import.meta.url);
    const path = require.resolve("vega-datasets").replace(/build.[^/\\]*$/, "data/flights-3m.parquet");
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
    // A row group is what the format can read at once; memory holds one of them.
    let rowStart = 0;
    for (const group of this.#metadata.row_groups) {
      const rowEnd = Math.min(rowStart + Number(group.num_rows), this.count);
      if (rowEnd <= rowStart) return;
      const rows = await parquetReadObjects({
        file: this.#file,
        metadata: this.#metadata,
        compressors,
        rowStart,
        rowEnd,
      });
      for (let at = 0; at < rows.length; at += size) {
        yield rows.slice(at, at + size).map(toFlight);
      }
      rowStart = rowEnd;
    }
  }
}

function toFlight(row: Record<string, unknown>): Flight {
  return {
    date: (row.date as Date).toISOString(),
    delay: Number(row.delay),
    distance: Number(row.distance),
    origin: String(row.origin),
    destination: String(row.destination),
  };
}
