import type { Action } from "../command/command.js";
import { showMany } from "../command/quantity.js";
import { openDataSet } from "./data-set.js";
import { keysOf, requireKeys } from "./key-text.js";

/** `partd delete`. */
export const remove: Action = async (call) => {
  const { terminal, signal } = call;
  const keys = keysOf(call, call.arguments.slice(1));
  await using dataSet = await openDataSet(call);
  await requireKeys(dataSet, keys, signal);
  await dataSet.store.delete(keys, { signal });
  await dataSet.store.flush({ signal });
  if (terminal.json) await terminal.line(JSON.stringify({ deleted: keys.length }));
  else terminal.note(`deleted ${showMany(keys.length, "key")}`);
  return undefined;
};
