export type { CompactReport } from "./compact.js";
export { LogStore, type LogStoreOptions } from "./log-store.js";
export type { Damage, LongOptions, Progress, VerifyReport } from "./verify.js";
