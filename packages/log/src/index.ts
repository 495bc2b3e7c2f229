export type { Progress } from "./compact.js";
export { LogStore, type LogStoreOptions, type LongOptions } from "./log-store.js";
export type { Damage, VerifyReport } from "./verify.js";
