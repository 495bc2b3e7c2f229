import { decodeKey, isPartdError, PartdError } from "@partd/core";
import { describeKey } from "@partd/core/author";
import { errnoOf } from "./disk.js";

/**
 * A failure of the file system as an error of ours.
 *
 * @param action what was to be done, after "Cannot".
 * @param key the encoded key concerned.
 */
export function ioError(action: string, path: string, cause: unknown, key?: string): PartdError {
  if (isPartdError(cause)) return cause;
  const decoded = key === undefined ? undefined : decodeKey(key);
  const what = decoded === undefined ? path : `key ${describeKey(decoded)} in ${path}`;
  const code = errnoOf(cause);
  if (code === "ENAMETOOLONG" && decoded !== undefined) {
    return new PartdError(
      "ERR_PARTD_KEY",
      `Cannot ${action} ${what}: there its file's path would be longer than the system allows; use a shorter key, or a directory with a shorter path.`,
      { path, key: decoded, cause },
    );
  }
  const advice = (code !== undefined && ADVICE[code]) || `${messageOf(cause)}.`;
  return new PartdError("ERR_PARTD_IO", `Cannot ${action} ${what}: ${advice}`, {
    path,
    key: decoded,
    cause,
  });
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

const PERMISSION =
  "the process may not write there; check the owner and permissions of the directory and its files.";
const FILES =
  "too many files are open; close some, raise the limit (ulimit -n), or lower maxOpenFiles.";
const NO_FOLDER =
  "a file is in the way, or a part of the path is no directory; choose another path or move the file.";

const NO_FILE = "what is there is neither a file nor a folder; move it away.";

/** What to do, by the code of the system's error. */
const ADVICE: { readonly [code: string]: string } = {
  __proto__: null as never,
  EACCES: PERMISSION,
  EPERM: PERMISSION,
  EROFS: "the file system is read-only, and the lock that even a reader takes is a file.",
  EMFILE: FILES,
  ENFILE: FILES,
  EEXIST: NO_FOLDER,
  ENOTDIR: NO_FOLDER,
  ENOSPC: "no space is left on the device; the data is as it was. Free some and try again.",
  EDQUOT: "the disk quota is used up; the data is as it was. Free some space and try again.",
  EFBIG:
    "the file would become larger than the file system or a limit (ulimit -f) allows; the data is as it was.",
  ENAMETOOLONG: "the path is longer than the system allows; choose a shorter one.",
  EFTYPE: NO_FILE,
  ESPIPE: NO_FILE,
};
