// The entry of a thread that aggregates parts of the input: see `fold-input.ts`.
import { decodeGroupKey } from "@partd/records";
import { workOnShare } from "../threads/share-work.js";
import { jobOfThread } from "../threads/thread-job.js";
import { MERGEABLE } from "./aggregates.js";
import type { Numbered } from "./columns.js";
import type { FoldedShare } from "./fold.js";
import { type FoldJob, fieldBatches } from "./fold-input.js";
import { type Keyed, KeyIndex } from "./key-index.js";

const job = await jobOfThread<FoldJob>();
await workOnShare<FoldedShare>(job, async (sources, reading, onRead) => {
  const index = new KeyIndex();
  const columns = job.names.map((name) => MERGEABLE[name]!("").column());
  const bytesPerKey = columns.reduce((sum, column) => sum + column.bytesPerKey, 0);
  let numbers = new Uint32Array(0);
  const numbered = ({ count }: Keyed): Numbered => {
    const key = (number: number) => index.at(number, decodeGroupKey);
    return { count, numbers, keys: index.count, key };
  };
  const merge = ({ keyed, states }: FoldedShare) => {
    numbers = new Uint32Array(keyed.count);
    index.number(keyed, numbers, false);
    for (const [i, column] of columns.entries()) column.merge!(numbered(keyed), states[i] as never);
  };
  const isFull = () => {
    const held = columns.reduce((sum, { heldBytes }) => sum + (heldBytes ?? 0), 0);
    const bytes = index.byteLength + index.count * bytesPerKey + held;
    return index.isFull || bytes > job.mostBytes;
  };
  const batches = fieldBatches(sources, job, job.mostBytes / 2, reading, onRead);
  let share: FoldedShare | undefined;
  for await (const batch of batches) {
    if ("states" in batch) {
      share = batch;
      continue;
    }
    if (share) merge(share);
    share = undefined;
    const { keyed, values } = batch;
    if (numbers.length < keyed.count) numbers = new Uint32Array(2 * keyed.count);
    index.number(keyed, numbers, false);
    for (const [i, column] of columns.entries()) column.add(numbered(keyed), values[i] ?? []);
    if (isFull()) return undefined;
  }
  // Usually the scanner has aggregated the whole share and no batch came.
  if (share) return share;
  const { keyed } = index;
  // A view would be copied with its whole buffer.
  const own = { ...keyed, keys: keyed.keys.slice(), keyEnds: keyed.keyEnds.slice() };
  const states = columns.map((column) => column.states!(index.count));
  return { keyed: own, states };
});
