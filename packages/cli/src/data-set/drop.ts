import { createInterface } from "node:readline/promises";
import type { Action } from "../command/command.js";
import { ExitCode, Failure, Interruption, UsageError } from "../command/failure.js";
import { showMany } from "../command/quantity.js";
import { openDataSet } from "./data-set.js";

/** `partd drop`. */
export const drop: Action = async (call) => {
  const { options, terminal, signal } = call;
  if (!options.has("yes") && !process.stdin.isTTY) {
    throw new UsageError("drop asks before it deletes, and nobody can answer here; add --yes");
  }
  await using dataSet = await openDataSet(call);
  const keys = await dataSet.store.count({ signal });
  if (!options.has("yes")) {
    const what = keys === 1 ? "the one key" : `all ${showMany(keys, "key")}`;
    const answer = await ask(`Delete ${what} of ${dataSet.place}? Type yes: `, signal);
    if (answer.trim().toLowerCase() !== "yes") throw new Failure("nothing was deleted");
  }
  await dataSet.store.drop({ signal });
  if (terminal.json) await terminal.line(JSON.stringify({ dropped: keys }));
  else terminal.note(`deleted ${showMany(keys, "key")}`);
  return undefined;
};

/**
 * What is typed as an answer; nothing where the input ends.
 *
 * @throws `Interruption` at Ctrl-C, which is no signal while readline has the terminal.
 */
async function ask(question: string, signal: AbortSignal): Promise<string> {
  const asked = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await new Promise((resolve, reject) => {
      asked.once("SIGINT", () => {
        process.stderr.write("\n");
        reject(new Interruption(ExitCode.INTERRUPTED));
      });
      asked.once("close", () => resolve(""));
      asked.question(question, { signal }).then(resolve, (error: unknown) => {
        if (signal.aborted) reject(error);
        else resolve(""); // Ctrl-D.
      });
    });
  } finally {
    asked.close();
  }
}
