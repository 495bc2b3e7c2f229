import { createRequire } from "node:module";
import type { Store } from "@partd/core";
import { readParquet } from "@partd/records";
import { Shuffle } from "@partd/shuffle";
import { compressors } from "hyparquet-compressors";

export interface Flight {
  /** Its place in the file, from 0 on. */
  readonly row: number;
  readonly origin: string;
  readonly destination: string;
  /** In minutes. */
  readonly delay: number;
  /** In miles. */
  readonly distance: number;
}

/** The shuffle, the same in every process. */
export function shuffleOf(store: Store): Shuffle<Flight, "origin"> {
  return new Shuffle<Flight, "origin">(store, { by: "origin", partitions: 16 });
}

/** The first of three million US flights of 2001, from the npm package `vega-datasets`. */
export async function* readFlights(count: number): AsyncGenerator<Flight> {
  const { resolve } = createRequire(import.meta.url);
  const file = resolve("vega-datasets").replace(/build.[^/\\]*$/, "data/flights-3m.parquet");
  let row = 0;
  for await (const flight of readParquet<Row>(file, { compressors })) {
    if (row === count) return;
    const { origin, destination, delay, distance } = flight;
    yield { row: row++, origin, destination, delay: Number(delay), distance: Number(distance) };
  }
}

interface Row {
  readonly origin: string;
  readonly destination: string;
  readonly delay: number | bigint;
  readonly distance: number | bigint;
}

/** What is known of a group: two that are equal have the same flights in the same order. */
export class Summary {
  flights = 0;
  delay = 0;
  /** Of the rows in their order. */
  digest = 0;

  add({ row, delay }: Flight): void {
    this.flights++;
    this.delay += delay;
    this.digest = (Math.imul(this.digest, 31) + row) | 0;
  }
}
