import type { Action } from "../command/command.js";
import { UsageError } from "../command/failure.js";
import { showBytes } from "../command/quantity.js";
import { freeBytes, usedBytes } from "../output/disk-space.js";
import { isAddress, openDataSet } from "./data-set.js";
import { describeFault, type Fault, faultOf } from "./fault.js";

/** `partd compact`. */
export const compact: Action = async (call) => {
  const { options, terminal, signal } = call;
  const [place] = call.arguments as [string];
  if (isAddress(place)) {
    throw new UsageError("a server's store is compacted where it lies: partd compact DIRECTORY");
  }
  await using dataSet = await openDataSet(call, { salvage: options.has("salvage") });
  if (dataSet.kind !== "log") {
    terminal.note(
      "a FileStore has each key's bytes in a file already: there is nothing to compact",
    );
    return undefined;
  }
  const before = await usedBytes(dataSet.place);
  const free = await freeBytes(dataSet.place);
  if (free < before) {
    terminal.note(`${showBytes(free)} are free, and the copy may take up to ${showBytes(before)}`);
  }
  let leftOut: readonly Fault[];
  {
    using progress = terminal.progress("compacting");
    const onProgress = progress.show.bind(progress);
    leftOut = (await dataSet.log.compact({ signal, onProgress })).leftOut.map(faultOf);
  }
  const after = await usedBytes(dataSet.place);
  if (terminal.json) {
    const damage = options.has("salvage") ? leftOut : undefined;
    await terminal.line(
      JSON.stringify({ bytesBefore: before, bytesAfter: after, leftOut: damage }),
    );
  } else {
    // Also with --quiet, because these bytes are lost.
    for (const fault of leftOut) terminal.error(`partd: left out: ${describeFault(fault)}`);
    terminal.note(`${showBytes(before)} before, ${showBytes(after)} now`);
  }
  return undefined;
};
