import { isPartdError } from "@partd/core";
import type { Action, Call } from "../command/command.js";
import { ExitCode } from "../command/failure.js";
import { showBytes, showCount } from "../command/quantity.js";
import { type DataSet, openDataSet } from "./data-set.js";
import { describeFault, type Fault, faultOf } from "./fault.js";
import { jsonKey, showKey } from "./key-text.js";
import { buildTower } from "./tower.js";

/** `partd verify`. */
export const verify: Action = async (call) => {
  const { options, terminal } = call;
  await using dataSet = await openDataSet(call);
  const found: Found = { keys: 0, bytes: 0, faults: [] };
  if (dataSet.kind === "log") await compareChecksums(dataSet, call, found);
  const decoded = options.has("codec") || options.has("compress");
  if (dataSet.kind !== "log" || decoded) await readValues(dataSet, call, found);
  const { keys, bytes, faults } = found;
  if (terminal.json) {
    await terminal.line(JSON.stringify({ keys: keys || undefined, bytes, damage: faults }));
  } else {
    for (const fault of faults) await terminal.line(describeFault(fault));
    const what = keys > 0 ? `${showCount(keys)} ${keys === 1 ? "key" : "keys"}, ` : "";
    await terminal.line(
      faults.length === 0
        ? `${what}${showBytes(bytes)} read: nothing is damaged`
        : `${what}${showBytes(bytes)} read: ${terminal.red(`${faults.length} damaged`)}`,
    );
  }
  return faults.length === 0 ? undefined : ExitCode.FAILED;
};

interface Found {
  keys: number;
  bytes: number;
  readonly faults: Fault[];
}

async function compareChecksums({ log }: DataSet, call: Call, found: Found): Promise<void> {
  using progress = call.terminal.progress("verifying");
  const report = await log.verify({
    signal: call.signal,
    onProgress: (figures) => progress.show(figures),
  });
  found.bytes = report.bytes;
  for (const damage of report.damage) found.faults.push(faultOf(damage));
  if (report.torn.length > 0) {
    call.terminal.note(
      `${report.torn.length} unfinished ${report.torn.length === 1 ? "append" : "appends"} of killed writers, which no reader sees`,
    );
  }
}

async function readValues(dataSet: DataSet, call: Call, found: Found): Promise<void> {
  const { signal, options, terminal } = call;
  const { store, codec } = await buildTower(dataSet.store, options);
  using progress = terminal.progress("reading");
  for await (const key of (codec === "ndarray" ? store : dataSet.store).keys({ signal })) {
    found.keys++;
    // Bytes as stored, because decoded values have another length, or none.
    if (dataSet.kind !== "log") found.bytes += await store.size(key, { signal });
    try {
      for await (const _ of store.stream(key, { signal })) signal.throwIfAborted();
    } catch (error) {
      if (!isPartdError(error, "ERR_PARTD_CORRUPT") && !isPartdError(error, "ERR_PARTD_CODEC")) {
        throw error;
      }
      const { path, offset, message } = error;
      found.faults.push({ keys: [jsonKey(key)], path, offset, reason: message });
      terminal.note(`${showKey(key)} is damaged`);
    }
    progress.show({ bytesDone: found.bytes, records: found.keys });
  }
}
