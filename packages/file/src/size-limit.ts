/**
 * Where the size of files is limited (`ulimit -f`), the system ends a process that reaches the limit
 * by the signal SIGXFSZ. While a store is open it is listened to, and the write fails instead.
 */
export function surviveSizeLimit(): void {
  if (open++ === 0 && process.platform !== "win32") process.on("SIGXFSZ", ignore);
}

export function endSurvivingSizeLimit(): void {
  if (--open === 0) process.off("SIGXFSZ", ignore);
}

let open = 0;

function ignore(): void {}
