import type { Stats } from "node:fs";
import { Pace } from "@partd/core/author";
import type { Steps } from "./disk.js";
import { syncFolders } from "./file-steps.js";
import type { Touched } from "./journal.js";
import type { Layout } from "./layout.js";
import type { Parts } from "./parts.js";
import { listKeys } from "./walk.js";

type Recovering = Pick<Parts, "disk" | "layout" | "files" | "journal" | "fsync">;

/**
 * To be run by whoever takes the lock: an append that was under way when its process died is undone,
 * a deletion is carried to its end.
 */
export async function recover(parts: Recovering): Promise<void> {
  const { disk, files, journal, layout } = parts;
  const unfinished = await disk.run(journal.read());
  if (!unfinished) return;
  await disk.run(files.closeAll());
  await disk.run(journal.countRemoval());
  if (unfinished.kind === "append") {
    const pace = new Pace();
    for (const touched of unfinished.touched) {
      await disk.run(restore(layout, touched));
      if (pace.due) await pace.rest();
    }
  } else if (unfinished.kind === "delete") await removeKeys(parts, unfinished.keys);
  else await removeAll(parts);
  await disk.run(journal.clear());
}

/** Ends a change of ours that failed, and could not be undone at the time. */
export async function settle(parts: Recovering): Promise<void> {
  await parts.disk.run(parts.journal.reinstate());
  await recover(parts);
}

/** Puts a file back as it was before an append. */
export function* restore(layout: Layout, { key, aside, length }: Touched): Steps<void> {
  if (length === 0) return yield* layout.removeAt(key, aside);
  const path = layout.path(key, aside);
  const stats = (yield ["stat", path, { throwIfNoEntry: false }]) as Stats | undefined;
  if (stats && stats.size > length) yield ["truncate", path, length];
}

/** Removes keys; what is not there is not missed. */
export async function removeKeys(parts: Recovering, keys: Iterable<string>): Promise<void> {
  const { disk, files, layout, fsync } = parts;
  const pace = new Pace();
  const folders = new Set<string>();
  for (const key of keys) {
    await disk.run(files.forget(key));
    const removed = disk.run(layout.remove(key));
    if (removed instanceof Promise) await removed;
    if (fsync) for (const folder of layout.foldersOf(key, false)) folders.add(folder);
    if (pace.due) await pace.rest();
  }
  if (fsync) await disk.run(syncFolders(folders));
}

/** Removes every key, and nothing that is none. */
export async function removeAll(parts: Recovering): Promise<void> {
  await removeKeys(parts, await listKeys(parts, { empty: true }));
}
