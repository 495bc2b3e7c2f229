import { constants } from "node:fs";
import type { OperationOptions } from "@partd/core";
import type { Lease } from "@partd/disk";
import type { DataSet } from "./data-set.js";
import { SLICE } from "./disk.js";

/**
 * Replaces a key's value atomically: writes it to a file of its own, then renames that to the old
 * name.
 */
export async function replaceValue(
  set: DataSet,
  lease: Lease,
  key: string,
  value: Uint8Array,
  { signal }: OperationOptions,
): Promise<void> {
  const { disk, files, fsync, journal, layout } = set;
  const replace = async () => {
    const draft = await set.work.file(lease, "draft");
    try {
      const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC;
      const fd = await files.withRoom(() => disk.open(draft, flags));
      try {
        for (let at = 0; at < value.byteLength; at += SLICE) {
          signal?.throwIfAborted();
          lease.verifyNow();
          await disk.writeAll(fd, value.subarray(at, at + SLICE), at);
        }
        if (fsync) await disk.sync(fd);
      } finally {
        await disk.close(fd);
      }
      signal?.throwIfAborted();
      const aside = await files.withRoom(() => place(set, key));
      lease.verify();
      await journal.countRemoval();
      await disk.rename(draft, layout.path(key, aside));
      files.sawRemovals(journal.removals);
      if (fsync) await disk.syncFolders(layout.foldersOf(key, aside));
    } catch (error) {
      set.work.remove();
      throw error;
    }
  };
  await set.io("set", replace, { signal, key });
}

/** Makes sure that the key has a file in its possible place. @returns whether that is aside. */
async function place({ disk, files, layout }: DataSet, key: string): Promise<boolean> {
  await files.forget(key);
  const { fd, aside } = await layout.openOrCreate(key);
  await disk.close(fd);
  return aside;
}
