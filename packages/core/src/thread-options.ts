/**
 * Options for a thread whose program is a file. A thread inherits the command line of the process, and
 * Node refuses to run a file with `--input-type`, which belongs to `--eval`: every thread would fail.
 */
export function threadOptions(): { readonly execArgv?: string[] } {
  const { process } = globalThis as {
    readonly process?: { readonly execArgv?: readonly string[] };
  };
  const isTyped = process?.execArgv?.some((word) => word.startsWith("--input-type"));
  return isTyped ? { execArgv: [] } : {};
}
