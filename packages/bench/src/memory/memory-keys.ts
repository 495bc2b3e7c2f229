import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { drawChart, type Line } from "./chart.js";
import type { Sample } from "./memory-curve.js";

const USAGE = `usage: node --expose-gc dist/memory/memory-keys.js [--keys N,N…] [--bytes N] [--svg FILE]

Runs memory-curve.js for 10, 10,000, 1,000,000 and 20,000,000 keys, each in a process of its own, and
draws the resident memory of all of them, over the bytes that were appended.`;

const { values: options } = parseArgs({
  options: {
    keys: { type: "string", default: "10,10000,1000000,20000000" },
    bytes: { type: "string", default: "2e9" },
    svg: { type: "string" },
    help: { type: "boolean" },
  },
});
if (options.help) {
  console.log(USAGE);
  process.exit();
}

const TITLE = "Growth of resident memory of a BufferStore over a LogStore, by the number of keys";
const COLOURS = ["#2471a3", "#1e8449", "#b9770e", "#c0392b"];
const COLUMNS = 300;
const program = fileURLToPath(new URL("./memory-curve.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "memory-keys-"));
try {
  const lines: Line[] = [];
  for (const keys of options.keys.split(",")) {
    const json = join(folder, `${keys}.json`);
    const label = `${Number(keys).toLocaleString("en")} keys`;
    console.log(label);
    const child = spawn(
      process.execPath,
      ["--expose-gc", program, "--keys", keys, "--bytes", options.bytes, "--json", json],
      { stdio: ["ignore", "inherit", "inherit"] },
    );
    await once(child, "exit");
    const { samples, ...marks } = JSON.parse(readFileSync(json, "utf8")) as Curve;
    // As many points as the picture has columns.
    const every = Math.max(1, Math.floor(samples.length / COLUMNS));
    const points = samples
      .filter((_, i) => i % every === 0)
      .map(({ written, resident }) => [written / 1e9, resident] as const);
    lines.push({ label, colour: COLOURS[lines.length % COLOURS.length] as string, points });
    // After each, as the last one takes long.
    const chart = drawChart({ title: TITLE, unit: "GB appended", ...marks, lines });
    if (options.svg !== undefined) writeFileSync(options.svg, chart);
  }
} finally {
  rmSync(folder, { recursive: true });
}

/** What `memory-curve.js` writes. */
interface Curve {
  readonly bound: number;
  readonly allowed: number;
  readonly samples: readonly Sample[];
}
