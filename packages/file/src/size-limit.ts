/**
 * Where the size of files is limited (`ulimit -f`), the system ends a process that reaches the limit
 * by the signal SIGXFSZ. Once a store has been opened it is listened to, and the write fails instead.
 * For good: such a signal may arrive after the write that it is about has failed.
 */
export function surviveSizeLimit(): void {
  if (surviving || process.platform === "win32") return;
  surviving = true;
  process.on("SIGXFSZ", () => {});
}

let surviving = false;
