import { GrowingIndex } from "../index/growing-index.js";
import { writeIndex } from "../index/index-file.js";
import type { DataSet } from "./data-set.js";

/**
 * Writes the indexes of segments whose writers could not, because they were killed: the next to
 * open the data set need not read them through again, as this store did.
 */
export async function describeOthers(dataSet: DataSet): Promise<void> {
  for (const segment of dataSet.segments) {
    const { index, finished, unreadable } = segment;
    if (segment.isOwn || !segment.complete || !finished || unreadable.length > 0) continue;
    if (!(index instanceof GrowingIndex)) continue;
    try {
      await writeIndex(segment.indexPath, segment.id, finished.end, index);
      dataSet.sync();
      if (!dataSet.segments.includes(segment)) dataSet.removeFiles([segment]);
      else if (dataSet.list.growing.includes(segment)) {
        const { end, size } = finished;
        dataSet.announce([["finished", segment.id, String(end), String(size)]], false);
      }
    } catch {
      return; // A full disk, or a read-only one: it was only to save time.
    }
  }
}
