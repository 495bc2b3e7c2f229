import { PartdError } from "@partd/core";

/** A failed system call as `ERR_PARTD_IO`, with advice; any other error as it is. */
export function diskError(action: string, path: string, cause: unknown): unknown {
  const { code, syscall } = (cause ?? {}) as NodeJS.ErrnoException;
  if (typeof code !== "string" || typeof syscall !== "string") return cause;
  const advice = ADVICE[code] ?? `${(cause as Error).message}.`;
  return new PartdError("ERR_PARTD_IO", `Cannot ${action} ${path}: ${advice}`, { path, cause });
}

const NO_SPACE =
  "no space is left on the device; what was half made is removed. Use a folder on a disk with more space, or raise memory.";
const PERMISSION =
  "the process may not write there; choose another folder, or check its permissions.";

/** What to do, by the code of the system's error. */
const ADVICE: { readonly [code: string]: string } = {
  __proto__: null as never,
  ENOSPC: NO_SPACE,
  EDQUOT: NO_SPACE,
  EFBIG:
    "the file would be larger than the file system or a limit (ulimit -f) allows; use another folder, or raise memory.",
  EACCES: PERMISSION,
  EPERM: PERMISSION,
  EROFS: PERMISSION,
  EEXIST: "it is there already; choose an empty folder, or move it away.",
  ENOENT: "the folder does not exist; make it, or choose another.",
  ENOTDIR: "a part of the path is a file; choose another folder.",
  EMFILE: "too many files are open; close some, or raise the limit (ulimit -n).",
};
