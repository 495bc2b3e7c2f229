import fs, { constants } from "node:fs";
import { Pace } from "@partd/core/author";
import { ifSystemError, type Lease, type Takeover } from "@partd/disk";
import { type Disk, isAbsent, SLICE, STRICT } from "./disk.js";
import type { Journal, Touched, Unfinished } from "./journal.js";
import type { Layout } from "./layout.js";
import type { OpenFiles } from "./open-files.js";
import type { WorkFolder } from "./work-folder.js";

/** The parts of a data set whose changes can be undone or completed. */
export interface Recoverable {
  readonly path: string;
  readonly fsync: boolean;
  readonly disk: Disk;
  readonly layout: Layout;
  readonly journal: Journal;
  readonly files: OpenFiles;
  readonly work: WorkFolder;
}

/**
 * Recovers when the lock was taken: undoes an append that was under way when its process ended, and
 * completes a deletion.
 *
 * A holder that was passed over may still run, and may write to its open files and rename at any
 * time. Its renames fail once its work folder is removed. Its open files are the journal and files
 * that the journal names, because it checks its lock between the note and the write. These are
 * replaced by copies, so that its writes reach only files without a name.
 */
export async function recover(set: Recoverable, takeover: Takeover): Promise<void> {
  const { journal, work } = set;
  const { lease } = takeover;
  const fence = takeover.unproven.length > 0;
  if (fence || takeover.ended) await work.removeOthers();
  const unfinished = await journal.read(fence ? await work.file(lease, "journal") : undefined);
  if (unfinished) await finish(set, lease, unfinished, fence);
}

/** Completes or undoes a change of this store that failed and could not be undone then. */
export async function settle(set: Recoverable, lease: Lease): Promise<void> {
  await set.journal.reinstate();
  const unfinished = await set.journal.read();
  if (unfinished) await finish(set, lease, unfinished, false);
}

/** Restores files to their state before an append. */
export async function undoAppend(
  set: Recoverable,
  lease: Lease,
  touched: readonly Touched[],
  fence = false,
): Promise<void> {
  const pace = new Pace();
  for (const each of touched) {
    await set.files.forget(each.key);
    if (each.length === 0) {
      await set.layout.removeAt(each.key, each.aside, (path) => set.work.discard(lease, path));
    } else await cutBack(set, lease, each, fence);
    if (pace.due) await pace.rest();
  }
}

/** Removes keys; missing ones are skipped. @throws an error that says how many are removed. */
export async function removeKeys(
  set: Recoverable,
  lease: Lease,
  keys: readonly string[],
): Promise<void> {
  const { disk, files, fsync, layout, path, work } = set;
  const pace = new Pace();
  const folders = new Set<string>();
  let removed = 0;
  try {
    for (const key of keys) {
      await files.forget(key);
      await layout.remove(key, (each) => work.discard(lease, each));
      removed++;
      if (fsync) for (const folder of layout.foldersOf(key, false)) folders.add(folder);
      if (pace.due) await pace.rest();
    }
    if (fsync) await disk.syncFolders(folders);
  } catch (error) {
    const left = `${removed} of ${keys.length} keys are removed`;
    throw ifSystemError({ action: "remove keys from", path, left }, error);
  }
}

/** Removes every key with the folders of tuples, and no other file. */
export async function removeAll(set: Recoverable, lease: Lease): Promise<void> {
  await removeKeys(set, lease, await set.layout.keys({ empty: true }));
  lease.confirm();
  await set.layout.removeFolders();
}

async function finish(
  set: Recoverable,
  lease: Lease,
  unfinished: Unfinished,
  fence: boolean,
): Promise<void> {
  const { files, journal } = set;
  await files.closeAll();
  await journal.countRemoval();
  if (unfinished.kind === "append") await undoAppend(set, lease, unfinished.touched, fence);
  else if (unfinished.kind === "delete") await removeKeys(set, lease, unfinished.keys);
  else await removeAll(set, lease);
  await journal.clear();
}

async function cutBack(
  { disk, layout, work, fsync }: Recoverable,
  lease: Lease,
  { key, aside, length }: Touched,
  fence: boolean,
): Promise<void> {
  const path = layout.path(key, aside);
  let fd: number;
  try {
    fd = await disk.open(path, constants.O_RDWR | STRICT);
  } catch (error) {
    if (isAbsent(error)) return;
    throw error;
  }
  try {
    const stats = await disk.fstat(fd);
    if (!stats.isFile()) return;
    if (fence || stats.nlink > 1) {
      const draft = await work.file(lease, "draft");
      const copy = await disk.open(draft, constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC);
      try {
        keepOwner(copy, stats);
        const end = Math.min(length, stats.size);
        const slice = Buffer.allocUnsafe(Math.min(SLICE, end));
        for (let at = 0; at < end; ) {
          const piece = slice.subarray(0, Math.min(SLICE, end - at));
          const count = await disk.readAll(fd, piece, at);
          if (count === 0) break;
          await disk.writeAll(copy, piece.subarray(0, count), at);
          at += count;
        }
        if (fsync) await disk.sync(copy);
      } finally {
        await disk.close(copy);
      }
      await disk.rename(draft, path);
      if (fsync) await disk.syncFolders(layout.foldersOf(key, aside));
    } else if (stats.size > length) {
      // It was opened while the lock was ours: if we lose the lock, the next holder replaces this
      // file.
      lease.confirm();
      await disk.truncate(fd, length);
    }
  } finally {
    await disk.close(fd);
  }
}

function keepOwner(fd: number, { mode, uid, gid }: fs.Stats): void {
  fs.fchmodSync(fd, mode & 0o7777);
  try {
    fs.fchownSync(fd, uid, gid);
  } catch {
    // Only root may give a file away.
  }
}
