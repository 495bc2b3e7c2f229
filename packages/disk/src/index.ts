export { crc32 } from "./crc32.js";
export {
  DirectoryLock,
  type DirectoryLockOptions,
  type LockWait,
} from "./directory-lock.js";
export { makeFolders, refuseLink } from "./folders.js";
export { hiddenStart, ownName, removeLeft } from "./hidden-names.js";
export type { Lease, Takeover } from "./lease.js";
export type { LockMode } from "./lock-waiters.js";
export { type FileIdentity, OutputFile, type OutputOptions } from "./output-file.js";
export {
  errnoOf,
  type FailedAction,
  ifSystemError,
  isOutOfFiles,
  systemError,
} from "./system-error.js";
export {
  absolutePath,
  checkGivenPath,
  TemporaryDirectory,
} from "./temporary-directory.js";
export {
  isToken,
  type OwnerState,
  pidOf,
  processToken,
  stateOf,
  uniqueToken,
} from "./token.js";
export {
  checkCount,
  closeFile,
  readAll,
  readAllSync,
  surviveSizeLimit,
  syncDirectory,
  syncFile,
  writeAllSync,
  writePieces,
} from "./transfer.js";
