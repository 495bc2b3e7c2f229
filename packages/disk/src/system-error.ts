import { isPartdError, PartdError, type PartdErrorContext } from "@partd/core";

/** What failed, for the message of a {@link systemError}. */
export interface FailedAction extends PartdErrorContext {
  /** What follows "Cannot": `"write to"`. */
  readonly action: string;
  /** The file or directory concerned. */
  readonly path: string;
  /** What to name in place of the path: `key "x" in /data`. Default: the path. */
  readonly what?: string | undefined;
  /** What the failure leaves: `"2 of 3 keys are removed"`. Default: the data is as it was. */
  readonly left?: string | undefined;
}

/** A file system failure as `ERR_PARTD_IO`, with advice. A `PartdError` is returned unchanged. */
export function systemError(
  { action, what, left, ...context }: FailedAction,
  cause: unknown,
): PartdError {
  if (isPartdError(cause)) return cause;
  const code = errnoOf(cause);
  let advice = adviceFor(code, cause) ?? `${messageOf(cause)}.`;
  if (left !== undefined) {
    const isTold = advice.includes(AS_IT_WAS);
    advice = isTold ? advice.replace(AS_IT_WAS, left) : `${advice} Now ${left}.`;
  }
  return new PartdError("ERR_PARTD_IO", `Cannot ${action} ${what ?? context.path}: ${advice}`, {
    ...context,
    cause,
  });
}

/** The code of a failed system call, such as `"ENOENT"`. */
export function errnoOf(error: unknown): string | undefined {
  const { code, syscall } = (error ?? {}) as NodeJS.ErrnoException;
  return typeof code === "string" && typeof syscall === "string" ? code : undefined;
}

function adviceFor(code: string | undefined, cause: unknown): string | undefined {
  if (code === undefined) return undefined;
  return ADVICE[`${code} ${(cause as NodeJS.ErrnoException).syscall}`] ?? ADVICE[code];
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

const PERMISSION =
  "the process may not write there; check the owner and permissions of the directory and its files.";
const FILES =
  "too many files are open; close some, raise the limit (ulimit -n), or lower maxOpenFiles.";
const NO_FOLDER =
  "a file is in the way, or a part of the path is not a directory; choose another path or move the file.";
const NO_FILE = "what is there is neither a file nor a folder; move it away.";

const AS_IT_WAS = "the data is as it was";

/** Advice for each code of a system error, or for the code and the call. */
const ADVICE: { readonly [code: string]: string } = {
  __proto__: null as never,
  EACCES: PERMISSION,
  EPERM: PERMISSION,
  EROFS: "the file system is read-only, and the lock that even a reader takes is a file.",
  EMFILE: FILES,
  ENFILE: FILES,
  EEXIST: NO_FOLDER,
  ENOTDIR: NO_FOLDER,
  ENOSPC: `no space is left on the device; ${AS_IT_WAS}. Free some and try again.`,
  EDQUOT: `the disk quota is used up; ${AS_IT_WAS}. Free some space and try again.`,
  EFBIG: `the file would become larger than the file system or a limit (ulimit -f) allows; ${AS_IT_WAS}.`,
  ENAMETOOLONG: "the path is longer than the system allows; choose a shorter one.",
  EISDIR: "a folder is in the place of a file; move it away.",
  EFTYPE: NO_FILE,
  "ELOOP open":
    "a symbolic link stands there, which may lead out of the directory; put what it points to in its place.",
  EMLINK:
    "the file has another name (a hard link), perhaps elsewhere, by which it would change, too; put a copy in its place.",
  // mkdir reports it in this way if it also makes the folders above.
  "ENOENT mkdir":
    "no folder can be made there: a part of the path is missing, or a symbolic link that leads to nothing, or the file system is read-only.",
  ELOOP: "symbolic links of the path lead in a circle; choose another path.",
  EXDEV:
    "a folder in it is on another file system, where nothing can be replaced in one step; keep the directory on one, or delete and append.",
  ENXIO: NO_FILE,
  ESPIPE: NO_FILE,
};

/**
 * A failed system call as {@link systemError}. Any other error, such as a signal's reason, is
 * returned unchanged.
 */
export function ifSystemError(action: FailedAction, error: unknown): unknown {
  return errnoOf(error) === undefined ? error : systemError(action, error);
}

/** Whether the process or the system has no free descriptor. */
export function isOutOfFiles(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return code === "EMFILE" || code === "ENFILE";
}
