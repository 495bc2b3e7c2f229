// Runs in a browser's worker.
import { answerJob } from "./answer.js";
import { type Job, READY } from "./worker-pool.js";

interface WorkerScope {
  onmessage: ((event: MessageEvent<Job>) => void) | null;
  postMessage(message: unknown, transfer: Transferable[]): void;
}

const scope = globalThis as unknown as WorkerScope;
scope.onmessage = async ({ data }) => {
  const [answer, transfer] = await answerJob(data);
  scope.postMessage(answer, transfer);
};
scope.postMessage(READY, []);
