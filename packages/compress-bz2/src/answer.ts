import { isPartdError } from "@partd/core";
import { type Answer, type Job, runJob } from "./worker-pool.js";

/** Does a job inside a worker, and returns the arguments of `postMessage`. */
export async function answerJob(job: Job): Promise<[Answer, ArrayBuffer[]]> {
  try {
    const bytes = await runJob(job);
    return [{ bytes }, [bytes.buffer as ArrayBuffer]];
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return [{ message, code: isPartdError(error) ? error.code : undefined }, []];
  }
}
