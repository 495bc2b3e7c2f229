// The entry of a thread that scatters parts of the input: see `scatter-threads.ts`.
import { parentPort } from "node:worker_threads";
import { failureOf } from "../threads/thread-failure.js";
import { jobOfThread } from "../threads/thread-job.js";
import { PartTurns } from "./part-turns.js";
import { Scatter } from "./scatter.js";
import type { ScatterJob, ScatterMessage } from "./scatter-threads.js";

const { fields, missing, files, parts, positions, turns, limit } = await jobOfThread<ScatterJob>();
const tell = (message: ScatterMessage) => parentPort?.postMessage(message);
try {
  const scatter = new Scatter(fields, missing, files, positions, limit);
  await scatter.parts(parts, new PartTurns(turns), (records, bytes) => tell({ records, bytes }));
  tell({ done: true });
} catch (error) {
  tell(failureOf(error));
}
