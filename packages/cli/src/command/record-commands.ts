import type { Command } from "./command.js";

/** Commands on files of records. */
export const recordCommands: readonly Command[] = [];
