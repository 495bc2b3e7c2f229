import { parentPort } from "node:worker_threads";
import type { Records, Scan } from "@partd/records";
import type { Reading } from "../run/record-limit.js";
import { PartSequence } from "./part-sequence.js";
import type { Share, ShareMessage } from "./share-threads.js";
import { failureOf } from "./thread-failure.js";

/** Makes a result from the records of a share; `undefined` if it is too large. */
type Make<T> = (
  sources: Iterable<Records<unknown>>,
  reading: Reading,
  onRead: (scan: Scan, consumed: number) => void,
) => Promise<T | undefined>;

/** The work of a thread: makes the result of its share, and tells `readByThreads` what becomes of it. */
export async function workOnShare<T>({ parts, limit }: Share, make: Make<T>): Promise<void> {
  const tell = (message: ShareMessage<T>) => parentPort?.postMessage(message);
  const sequence = new PartSequence();
  let consumed = 0;
  const onRead = (scan: Scan, now: number) => {
    // Each part counts from 0.
    tell({ records: scan.count, bytes: now < consumed ? now : now - consumed });
    consumed = now;
  };
  try {
    const result = await make(sequence.open(parts), { limit, makeRoom: leaveLong }, onRead);
    tell(result === undefined ? { isFull: true } : { result, reached: sequence.reached! });
  } catch (error) {
    tell(error instanceof LongRecord ? { isFull: true } : failureOf(error));
  }
}

/** Leaves a long record to the thread that has begun the work, whose memory has room for one. @throws LongRecord */
export function leaveLong(bytes: number): void {
  if (bytes > MOST_READ) throw new LongRecord();
}

export class LongRecord extends Error {}

/** A batch and a thread's other memory take as much. */
const MOST_READ = 16 << 20;
