import type { Answer, WorkerPort } from "./worker-pool.js";

/** A worker of a browser, where it has them. */
export function startWorker(): WorkerPort | undefined {
  if (typeof Worker === "undefined" || failed) return undefined;
  let worker: Worker;
  try {
    worker = new Worker(new URL("./worker-main.js", import.meta.url), { type: "module" });
  } catch {
    return undefined; // For example a policy of the page forbids it.
  }
  const port: WorkerPort = {
    post: (job, transfer) => worker.postMessage(job, transfer),
    onAnswer: () => {},
    onEnd: () => {},
    setBusy: () => {},
  };
  worker.onmessage = (event: MessageEvent<Answer>) => port.onAnswer(event.data);
  worker.onerror = () => {
    failed = true; // A bundler that does not know this form has left the file out.
    worker.terminate();
    port.onEnd();
  };
  return port;
}

let failed = false;
