import { constants } from "node:fs";
import type { OperationOptions } from "@partd/core";
import type { Steps } from "./disk.js";
import { SLICE, syncFile, syncFolders, unlinkIfThere, writeAll } from "./file-steps.js";
import { ioError } from "./io-error.js";
import { withRoom } from "./open-files.js";
import type { Parts } from "./parts.js";
import type { Tenure } from "./tenure.js";

/**
 * Replaces a key's value in one step: the new one is written to a file of its own, which then takes
 * the name of the old one. One that a dead process has left is overwritten by the next.
 */
export async function replaceValue(
  parts: Parts,
  tenure: Tenure,
  key: string,
  value: Uint8Array,
  { signal }: OperationOptions,
): Promise<void> {
  const { disk, files, journal, layout, fsync } = parts;
  const draft = layout.own("draft");
  try {
    const fd = await withRoom(parts, "set", key, () => openDraft(draft));
    try {
      for (let at = 0; at < value.byteLength; at += SLICE) {
        signal?.throwIfAborted();
        tenure.verifyNow();
        await disk.run(writeAll(fd, value.subarray(at, at + SLICE), at));
      }
      if (fsync) await disk.run(syncFile(fd));
    } finally {
      await disk.run(close(fd));
    }
    signal?.throwIfAborted();
    const { aside } = await withRoom(parts, "set", key, () => place(parts, key));
    tenure.verify();
    await disk.run(journal.countRemoval());
    await disk.run(rename(draft, layout.path(key, aside)));
    files.sawRemovals(journal.removals);
    if (fsync) await disk.run(syncFolders(layout.foldersOf(key, aside)));
  } catch (error) {
    if (!tenure.lost) await disk.run(unlinkQuietly(draft));
    throw signal?.aborted && error === signal.reason
      ? error
      : ioError("set", layout.directory, error, key);
  }
}

/** Makes sure that the key has a file in the one of its places that can be. */
function* place({ files, layout }: Parts, key: string): Steps<{ readonly aside: boolean }> {
  yield* files.forget(key);
  const opened = yield* layout.openOrCreate(key);
  yield* close(opened.fd);
  return opened;
}

function* openDraft(path: string): Steps<number> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC;
  return (yield ["open", path, flags, 0o666]) as number;
}

function* rename(from: string, to: string): Steps<void> {
  yield ["rename", from, to];
}

function* close(fd: number): Steps<void> {
  yield ["close", fd];
}

function* unlinkQuietly(path: string): Steps<void> {
  try {
    yield* unlinkIfThere(path);
  } catch {
    // It is overwritten by the next.
  }
}
