import { PartdError } from "@partd/core";

/** A failed system call on temporary data as `ERR_PARTD_IO`, with advice; any other error as it is. */
export function diskError(action: string, path: string, cause: unknown): unknown {
  return ioError(action, path, cause, ", or raise memory");
}

/** The same of a call on files of the result, which memory cannot replace. */
export function outputError(action: string, path: string, cause: unknown): unknown {
  return ioError(action, path, cause, "");
}

function ioError(action: string, path: string, cause: unknown, orMemory: string): unknown {
  const { code, syscall } = (cause ?? {}) as NodeJS.ErrnoException;
  if (typeof code !== "string" || typeof syscall !== "string") return cause;
  const advice = ADVICE[code]?.(orMemory) ?? `${(cause as Error).message}.`;
  return new PartdError("ERR_PARTD_IO", `Cannot ${action} ${path}: ${advice}`, { path, cause });
}

const noSpace = (orMemory: string) =>
  `no space is left on the device; what was half made is removed. Use a folder on a disk with more space${orMemory}.`;
const permission = () =>
  "the process may not write there; choose another folder, or check its permissions.";

/** What to do, by the code of the system's error. */
const ADVICE: { readonly [code: string]: (orMemory: string) => string } = {
  __proto__: null as never,
  ENOSPC: noSpace,
  EDQUOT: noSpace,
  EFBIG: (orMemory) =>
    `the file would be larger than the file system or a limit (ulimit -f) allows; use another folder${orMemory}.`,
  EACCES: permission,
  EPERM: permission,
  EROFS: permission,
  EEXIST: () => "it is there already; choose an empty folder, or move it away.",
  ENOENT: () => "the folder does not exist; make it, or choose another.",
  ENOTDIR: () => "a part of the path is a file; choose another folder.",
  EMFILE: () => "too many files are open; close some, or raise the limit (ulimit -n).",
};
