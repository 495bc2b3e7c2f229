import { Worker } from "node:worker_threads";
import { threadOptions } from "@partd/core/author";
import { type Answer, READY, type WorkerPort, workerDied } from "./worker-pool.js";

/** A worker thread. */
export function startWorker(): WorkerPort | undefined {
  if (failed) return undefined;
  try {
    const program = new URL("./worker-main.node.js", import.meta.url);
    return portOf(new Worker(program, threadOptions()), () => {
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
  const port: WorkerPort = {
    post: (job, transfer) => worker.postMessage(job, transfer),
    onAnswer: () => {},
    onEnd: () => {},
    end: () => void worker.terminate(),
    setBusy: (busy) => (busy ? worker.ref() : worker.unref()),
  };
  let cause: unknown;
  const end = (code: number) => {
    if (!ready) onFailure();
    cause ??= new Error(`The worker ended with the exit code ${code}.`);
    port.onEnd(ready ? workerDied(cause) : undefined);
  };
  worker.on("message", (message: Answer | typeof READY) => {
    if (message === READY) ready = true;
    else port.onAnswer(message);
  });
  worker.on("messageerror", (error) => {
    cause = error;
    void worker.terminate();
  });
  // An error may overtake READY, which came by another port; "exit" comes after both.
  worker.on("error", (error) => {
    cause = error;
  });
  worker.on("exit", end);
  worker.unref(); // After `on("message")`, which would keep the process alive.
  return port;
}

let failed = false;
