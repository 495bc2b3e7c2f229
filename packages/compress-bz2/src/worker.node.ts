import { Worker } from "node:worker_threads";
import { type Answer, READY, type WorkerPort, workerDied } from "./worker-pool.js";

/** A worker thread. */
export function startWorker(): WorkerPort | undefined {
  if (failed) return undefined;
  try {
    return portOf(new Worker(new URL("./worker-main.node.js", import.meta.url)), () => {
      failed = true; // A bundler may have left the file out.
    });
  } catch {
    failed = true; // Node's permissions may forbid threads.
    return undefined;
  }
}

/** @param onFailure called if the worker ends before it is loaded. */
export function portOf(worker: Worker, onFailure: () => void): WorkerPort {
  let ready = false;
  let ended = false;
  const port: WorkerPort = {
    post: (job, transfer) => worker.postMessage(job, transfer),
    onAnswer: () => {},
    onEnd: () => {},
    end: () => void worker.terminate(),
    setBusy: (busy) => (busy ? worker.ref() : worker.unref()),
  };
  const end = (cause: unknown) => {
    if (ended) return;
    ended = true;
    if (!ready) onFailure();
    port.onEnd(ready ? workerDied(cause) : undefined);
  };
  worker.on("message", (message: Answer | typeof READY) => {
    if (message === READY) ready = true;
    else port.onAnswer(message);
  });
  worker.on("messageerror", (error) => {
    void worker.terminate();
    end(error);
  });
  worker.on("error", end);
  worker.on("exit", (code) => end(new Error(`The worker ended with the exit code ${code}.`)));
  worker.unref(); // After `on("message")`, which would keep the process alive.
  return port;
}

let failed = false;
