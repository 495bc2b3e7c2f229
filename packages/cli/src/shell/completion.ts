import type { Action } from "../command/command.js";
import { UsageError } from "../command/failure.js";
import { bashCompletion } from "./bash.js";
import { fishCompletion } from "./fish.js";
import { zshCompletion } from "./zsh.js";

/** `partd completion`. */
export const completion: Action = async ({ arguments: [shell = ""], commands, terminal }) => {
  const script = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion }[shell];
  if (script === undefined) {
    throw new UsageError(`completion takes bash, zsh or fish, not ${JSON.stringify(shell)}`);
  }
  await terminal.write(script(commands));
  return undefined;
};
