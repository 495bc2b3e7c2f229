import { type Answer, READY, type WorkerPort, workerDied } from "./worker-pool.js";

/** A worker of a browser, where it has them. */
export function startWorker(): WorkerPort | undefined {
  if (typeof Worker === "undefined" || failed) return undefined;
  let worker: Worker;
  try {
    worker = new Worker(new URL("./worker-main.js", import.meta.url), { type: "module" });
  } catch {
    return undefined; // For example a policy of the page forbids it.
  }
  let ready = false;
  let ended = false;
  const port: WorkerPort = {
    post: (job, transfer) => worker.postMessage(job, transfer),
    onAnswer: () => {},
    onEnd: () => {},
    end: () => worker.terminate(),
    setBusy: () => {},
  };
  const end = (cause: unknown) => {
    if (ended) return;
    ended = true;
    failed ||= !ready; // A bundler that does not know this form has left the file out.
    worker.terminate();
    port.onEnd(ready ? workerDied(cause) : undefined);
  };
  worker.onmessage = ({ data }: MessageEvent<Answer | typeof READY>) => {
    if (data === READY) ready = true;
    else port.onAnswer(data);
  };
  worker.onerror = ({ error, message }) => end(error ?? new Error(message));
  worker.onmessageerror = () => end(new Error("The worker's answer could not be read."));
  return port;
}

let failed = false;
