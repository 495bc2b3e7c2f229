import type { Command } from "./command.js";
import { dataSetCommands } from "./data-set-commands.js";
import { recordCommands } from "./record-commands.js";
import { shellCommands } from "./shell-commands.js";

/** Every command, in the order of `partd --help`. */
export const commands: readonly Command[] = [
  ...recordCommands,
  ...dataSetCommands,
  ...shellCommands,
];
