import { type Answer, READY, type WorkerPort, workerDied } from "./worker-pool.js";

/** Starts a browser's worker, if the browser has them. */
export function startWorker(): WorkerPort | undefined {
  if (typeof Worker === "undefined" || failed) return undefined;
  let worker: Worker;
  try {
    worker = new Worker(new URL("./worker-main.js", import.meta.url), { type: "module" });
  } catch {
    return undefined; // The page's policy may forbid it.
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
    failed ||= !ready; // A bundler that does not know this form of URL leaves the file out.
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
