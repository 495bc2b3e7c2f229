let isListening = false;

/**
 * Where the size of files is limited (`ulimit -f`), a process that reaches the limit is ended by the
 * signal SIGXFSZ, unless it listens to it: then the write fails with EFBIG, as on a full disk.
 */
export function surviveSizeLimit(): void {
  if (isListening || process.platform === "win32") return;
  isListening = true;
  process.on("SIGXFSZ", () => {});
}
