import { isPartdError } from "@partd/core";
import { type Answer, type Job, runJob } from "./worker-pool.js";

/** Inside a worker: does the job, and gives what `postMessage` needs. */
export async function answerJob(job: Job): Promise<[Answer, ArrayBuffer[]]> {
  try {
    const bytes = await runJob(job);
    return [{ bytes }, [bytes.buffer as ArrayBuffer]];
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return [{ message, code: isPartdError(error) ? error.code : undefined }, []];
  }
}
