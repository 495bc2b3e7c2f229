import { readFileSync } from "node:fs";

/** The most resident memory that this process has had so far, in bytes. */
export function peakMemory() {
  if (process.platform === "linux") {
    // Not `maxRSS`, which begins with what the process that started this one had.
    const [, kib] = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8"));
    return Number(kib) * 1024;
  }
  return process.resourceUsage().maxRSS * 1024;
}
