/**
 * Options for a thread whose program is a file. It inherits the command line of the process, where `--input-type` says
 * of what type the program of `--eval` is: that may not be said of a file, and every thread would fail.
 */
export function threadOptions(): { readonly execArgv?: string[] } {
  const { process } = globalThis as {
    readonly process?: { readonly execArgv?: readonly string[] };
  };
  const isTyped = process?.execArgv?.some((word) => word.startsWith("--input-type"));
  return isTyped ? { execArgv: [] } : {};
}
