import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** By its place, because the package exports only code. */
const folder = fileURLToPath(new URL("../node_modules/vega-datasets/data/", import.meta.url));

/** Real data: reports in words, records in JSON, coordinates as columns of float64. */
export function realData(): Readonly<Record<"text" | "json" | "float64", Uint8Array>> {
  const read = (name: string) => new Uint8Array(readFileSync(folder + name));
  return {
    text: read("birdstrikes.csv"),
    json: read("flights-20k.json"),
    float64: coordinates(new TextDecoder().decode(read("zipcodes.csv"))),
  };
}

/** All latitudes, then all longitudes. */
function coordinates(csv: string): Uint8Array {
  const [head = "", ...rows] = csv.trim().split("\n");
  const columns = ["latitude", "longitude"].map((name) => head.trim().split(",").indexOf(name));
  const numbers = columns.flatMap((column) => rows.map((row) => Number(row.split(",")[column])));
  return new Uint8Array(Float64Array.from(numbers).buffer);
}
