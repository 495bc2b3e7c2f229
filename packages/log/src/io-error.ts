import { isPartdError, PartdError } from "@partd/core";

/** What the file system reported, as `ERR_PARTD_IO`; an error of our own stays as it is. */
export function ioError(verb: string, path: string, cause: unknown): PartdError {
  if (isPartdError(cause)) return cause;
  const { code, message } = cause as NodeJS.ErrnoException;
  return new PartdError(
    "ERR_PARTD_IO",
    `Could not ${verb} ${path}: ${ADVICE[code ?? ""] ?? message}`,
    {
      path,
      cause,
    },
  );
}

/** A failed system call as `ERR_PARTD_IO`; any other error, also a signal's reason, as it is. */
export function ifSystemError(verb: string, path: string, error: unknown): unknown {
  const isSystem = typeof (error as NodeJS.ErrnoException | undefined)?.syscall === "string";
  return isSystem ? ioError(verb, path, error) : error;
}

const ADVICE: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full; free some space and try again.",
  EDQUOT: "the disk quota is used up; free some space and try again.",
  EFBIG: "the file would be larger than the system allows (ulimit -f).",
  EMFILE: "too many files are open in this process; raise the limit (ulimit -n) or compact().",
  ENFILE: "too many files are open on this machine.",
  EACCES: "permission denied.",
  EROFS: "the file system is read-only.",
  ENOTDIR: "a part of the path is a file; a LogStore needs a directory.",
  EEXIST: "there is a file; a LogStore needs a directory.",
};
