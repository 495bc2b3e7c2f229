export type { CompactReport, LongOptions, Progress } from "./compact.js";
export { LogStore, type LogStoreOptions } from "./log-store.js";
export type { Damage, VerifyReport } from "./verify.js";
