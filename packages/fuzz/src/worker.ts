import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { parentPort, workerData } from "node:worker_threads";
import { inputAt, type Target, tryInput } from "./target.js";
import type { Message, Order } from "./watch.js";

const order = workerData as Order;
const shared = new Float64Array(order.shared);
setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

const { targets } = (await import(order.module)) as { targets: readonly Target[] };
const target = targets.find(({ name }) => name === order.target) as Target;
const seeds = await target.seeds();
for (let index = order.from; index < order.to && shared[1] === 0; index++) {
  shared[0] = index;
  try {
    await tryInput(target, inputAt(seeds, index));
  } catch (error) {
    send({ broken: index, reason: (error as Error).stack ?? String(error) });
  }
  if ((index - order.from + 1) % order.measureEvery === 0) await measure(index);
}
send({ done: true });

function send(message: Message): void {
  parentPort?.postMessage(message);
}

/** Bytes that are still held when nothing more is to be done. */
async function measure(index: number): Promise<void> {
  for (let i = 0; i < 3; i++) {
    collect();
    await new Promise(setImmediate);
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  send({ measured: index, held: heapUsed + external, rss });
}
