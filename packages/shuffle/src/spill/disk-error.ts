import { isPartdError, PartdError } from "@partd/core";

/** A failure of the file system as `ERR_PARTD_IO`, with advice. */
export function diskError(action: string, path: string, cause: unknown): PartdError {
  if (isPartdError(cause)) return cause;
  const { code } = (cause ?? {}) as NodeJS.ErrnoException;
  const advice = (code !== undefined && ADVICE[code]) || `${messageOf(cause)}.`;
  return new PartdError("ERR_PARTD_IO", `Cannot ${action} ${path}: ${advice}`, { path, cause });
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

const NO_SPACE =
  "no space is left on the device; what was half made is removed. Set dir to a folder on a disk with more space, or raise memory.";
const PERMISSION = "the process may not write there; choose another folder, or check its permissions.";

/** What to do, by the code of the system's error. */
const ADVICE: { readonly [code: string]: string } = {
  __proto__: null as never,
  ENOSPC: NO_SPACE,
  EDQUOT: NO_SPACE,
  EACCES: PERMISSION,
  EPERM: PERMISSION,
  EROFS: PERMISSION,
  ENOENT: "the folder does not exist; make it, or choose another.",
  ENOTDIR: "a part of the path is a file; choose another folder.",
  EMFILE: "too many files are open; close some, or raise the limit (ulimit -n).",
};
