// The entry of a thread that joins parts of the left side: see `line-threads.ts`.
import { parentPort } from "node:worker_threads";
import { failureOf } from "../threads/thread-failure.js";
import { jobOfThread } from "../threads/thread-job.js";
import { LineJoiner } from "./line-joiner.js";
import type { LineMessage, LineWork } from "./line-threads.js";
import { LineTurns } from "./line-turns.js";

const { job, turns: state, thread } = await jobOfThread<LineWork>();
const turns = new LineTurns(state);
const tell = (message: LineMessage, transfer: ArrayBuffer[] = []) => {
  parentPort?.postMessage(message, transfer);
};
const onRead = (records: number, bytes: number) => tell({ records, bytes });
// If this thread cannot read the right side, the others cannot either, and it has taken no part yet.
const joiner = await LineJoiner.open(job, () => {}).catch(() => undefined);
for (;;) {
  const number = joiner ? turns.take() : job.left.length;
  const part = job.left[number];
  if (!joiner || !part) break;
  try {
    const pieces = joiner.part(part, onRead);
    for (;;) {
      const { value, done } = await pieces.next();
      if (done) {
        tell({ number, rest: value });
        break;
      }
      turns.hold(thread, value.length);
      tell({ number, piece: value }, [value.buffer]);
    }
  } catch (error) {
    tell({ number, failure: failureOf(error) });
  }
}
tell({ done: true });
