import { totalmem } from "node:os";
import process from "node:process";

/**
 * Bytes of memory that this process may use: the machine's, or what its control group (a
 * container's limit, version 1 or 2) leaves it of that.
 */
export function memoryLimit(): number {
  // 0 without a known limit; more than all memory if the control group has none.
  const constrained = process.constrainedMemory();
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
}
