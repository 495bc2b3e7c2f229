// Runs in a worker thread of Node.
import { parentPort } from "node:worker_threads";
import { answerJob } from "./answer.js";
import { type Job, READY } from "./worker-pool.js";

parentPort?.on("message", async (job: Job) => {
  const [answer, transfer] = await answerJob(job);
  parentPort?.postMessage(answer, transfer);
});
parentPort?.postMessage(READY);
