// The entry of a thread that scatters parts of the input: see `scatter-threads.ts`.
import { parentPort, workerData } from "node:worker_threads";
import { isPartdError } from "@partd/core";
import { Scatter } from "./scatter.js";
import type { ScatterJob, ScatterMessage } from "./scatter-threads.js";

const { fields, paths, parts, positions, control } = workerData as ScatterJob;
const tell = (message: ScatterMessage) => parentPort?.postMessage(message);
try {
  const scatter = new Scatter(fields, paths, positions);
  try {
    await scatter.parts(parts, control, (records, bytes) => tell({ records, bytes }));
  } finally {
    scatter.close();
  }
  tell({ done: true });
} catch (error) {
  // An error that crosses threads loses its class, and with it the code.
  const { message, code } = error as NodeJS.ErrnoException;
  tell({ message, code: isPartdError(error) || code ? code : undefined });
}
