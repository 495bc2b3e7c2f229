import { lstat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { OutputFile } from "@partd/disk";
import { UsageError } from "../command/failure.js";

/**
 * The file of `--out`. With `force` it replaces an existing file.
 *
 * @throws `UsageError` if the name is taken without `force`, now or when the file is complete.
 */
export async function createOutput(name: string, { force = false } = {}): Promise<OutputFile> {
  const accept = (path: string) => refuseTaken(path, force);
  try {
    return await OutputFile.create(name, { accept });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    throw new UsageError(`there is no directory ${dirname(name)} to write ${basename(name)} in`);
  }
}

async function refuseTaken(path: string, force: boolean): Promise<void> {
  const there = await lstat(path).catch(() => undefined);
  if (there === undefined) return;
  if (there.isDirectory()) throw new UsageError(`${path} is a directory, not a file`);
  if (!force) throw new UsageError(`${path} exists; add --force to replace it`);
}
