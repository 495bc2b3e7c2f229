import { parentPort } from "node:worker_threads";

/**
 * The job of this thread, which is the first message to it. A thread is started before its job is known:
 * its start takes 40 ms, in which the starting thread looks at the input.
 */
export function jobOfThread<T>(): Promise<T> {
  return new Promise((resolve) => parentPort?.once("message", resolve));
}
