import type { Command } from "./command/command.js";
import { dataSetCommands } from "./command/data-set-commands.js";
import { ExitCode, Interruption, UsageError } from "./command/failure.js";
import { parse } from "./command/program.js";
import { recordCommands } from "./command/record-commands.js";
import { reportFailure } from "./command/report-failure.js";
import { shellCommands } from "./command/shell-commands.js";
import { packageVersion } from "./machine/version.js";
import { Terminal } from "./terminal/terminal.js";

/**
 * Runs the `partd` command with these arguments, and sets the exit code of the process. It handles
 * SIGINT, SIGTERM and SIGHUP: the first one lets the work end cleanly, the second one ends the process.
 */
export async function run(words: readonly string[]): Promise<void> {
  endQuietlyWhenReaderLeaves();
  const { signal, stop } = stoppable();
  const machine = words.includes("--json");
  let terminal = new Terminal({ json: machine, quiet: false, signal });
  // An error outside of promises is reported like any other.
  const fail = (error: unknown) => process.exit(reportFailure(error, terminal, signal));
  process.on("uncaughtException", fail);
  try {
    if (words.length === 0) throw new UsageError("which command? See partd --help.");
    const invocation = await parse(words, commands, packageVersion());
    if (invocation === undefined) return;
    const quiet = invocation.options.has("quiet");
    terminal = new Terminal({ json: machine, quiet, signal });
    const { command, ...given } = invocation;
    const action = await command.load();
    process.exitCode = (await action({ ...given, commands, terminal, signal })) ?? ExitCode.DONE;
  } catch (error) {
    process.exitCode = reportFailure(error, terminal, signal);
  } finally {
    stop();
  }
  // If nobody reads the output, what is still to be written would keep the process alive.
  if (signal.aborted && process.stdout.writableLength > 0) process.exit();
}

function stoppable(): { signal: AbortSignal; stop: () => void } {
  const interruption = new AbortController();
  const listeners = [
    ["SIGINT", ExitCode.INTERRUPTED],
    ["SIGTERM", ExitCode.TERMINATED],
    ["SIGHUP", ExitCode.HUNG_UP],
  ] as const;
  const stops = listeners.map(([name, exitCode]) => {
    const listener = () => {
      // A second signal is left to the system: a thread that waits for the other end of a pipe would
      // hold up `process.exit`.
      stop();
      interruption.abort(new Interruption(exitCode));
    };
    process.on(name, listener);
    return () => process.off(name, listener);
  });
  const stop = () => stops.forEach((each) => void each());
  return { signal: interruption.signal, stop };
}

/** `partd … | head` ends as quietly as `head`: nobody would read an error message. */
function endQuietlyWhenReaderLeaves(): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(process.exitCode ?? ExitCode.DONE);
    throw error;
  });
  // The work does not depend on messages about it.
  process.stderr.on("error", () => undefined);
}

/** Every command, in the order of `partd --help`. */
export const commands: readonly Command[] = [
  ...recordCommands,
  ...dataSetCommands,
  ...shellCommands,
];
