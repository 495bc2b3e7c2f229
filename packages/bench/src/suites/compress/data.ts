import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export type DataName = "text" | "json" | "float64";

/** By its place, because the package exports only code. */
export const DATA_FOLDER = fileURLToPath(
  new URL("../../../node_modules/vega-datasets/data/", import.meta.url),
);

/** Bytes of each {@link realValue}: the value itself would be made for each work in each process. */
export const VALUE_BYTES: Readonly<Record<DataName, number>> = {
  text: 2 ** 20,
  json: 2 ** 20,
  float64: 672_784,
};

/** Up to 1 MiB of real data: reports in words, records in JSON, coordinates as float64. */
export function realValue(name: DataName): Uint8Array {
  switch (name) {
    case "text":
      return read("birdstrikes.csv").slice(0, 2 ** 20);
    case "json":
      return read("flights-20k.json").slice(0, 2 ** 20);
    case "float64":
      return coordinates(new TextDecoder().decode(read("zipcodes.csv")));
  }
}

function read(file: string): Uint8Array {
  return new Uint8Array(readFileSync(DATA_FOLDER + file));
}

/** All latitudes, then all longitudes. */
function coordinates(csv: string): Uint8Array {
  const rows = csv.trim().split("\n").slice(1);
  const column = (index: number) => rows.map((row) => Number(row.split(",")[index]));
  return new Uint8Array(Float64Array.from([...column(1), ...column(2)]).buffer);
}
