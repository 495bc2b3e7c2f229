import { parseArgs } from "node:util";
import { targets } from "./targets.js";
import { fuzz } from "./watch.js";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    minutes: { type: "string", default: "1" },
    from: { type: "string", default: "0" },
    inputs: { type: "string", default: "Infinity" },
  },
});

const names = targets.map(({ name }) => name);
const unknown = positionals.filter((name) => !names.includes(name));
if (unknown.length > 0) {
  console.error(`${unknown.join(", ")}: the decoders are ${names.join(", ")}`);
  process.exit(1);
}
const from = Number(values.from);
const mebibytes = (bytes: number | undefined) => Math.round((bytes ?? 0) / 2 ** 20);
let found = 0;
for (const name of positionals.length > 0 ? positionals : names) {
  const { inputs, violations, held, rss } = await fuzz({
    ...{ module: new URL("./targets.js", import.meta.url).href, target: name, from },
    ...{ to: from + Number(values.inputs), milliseconds: Number(values.minutes) * 60_000 },
  });
  const memory =
    held.length > 0 ? `, ${mebibytes(held[0])} to ${mebibytes(held.at(-1))} MiB held` : "";
  console.log(
    `${name}: ${inputs} inputs${memory}, ${mebibytes(rss)} MiB resident: ${violations.length || "no"} violations`,
  );
  for (const { index, kind, reason } of violations) {
    console.log(
      `  ${kind}: --from ${index} --inputs 1 ${name}\n    ${reason.split("\n").slice(0, 9).join("\n    ")}`,
    );
  }
  found += violations.length;
}
process.exitCode = found > 0 ? 1 : 0;
