import { Worker } from "node:worker_threads";
import type { Answer, WorkerPort } from "./worker-pool.js";

/** A worker thread. */
export function startWorker(): WorkerPort | undefined {
  if (failed) return undefined;
  const worker = new Worker(new URL("./worker-main.node.js", import.meta.url));
  worker.unref();
  const port: WorkerPort = {
    post: (job, transfer) => worker.postMessage(job, transfer),
    onAnswer: () => {},
    onEnd: () => {},
    setBusy: (busy) => (busy ? worker.ref() : worker.unref()),
  };
  worker.on("message", (answer: Answer) => port.onAnswer(answer));
  worker.on("error", () => {
    failed = true; // A bundler has left the file out, or there is no memory for a thread.
    port.onEnd();
  });
  return port;
}

let failed = false;
