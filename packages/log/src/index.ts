export { LogStore, type LogStoreOptions } from "./log-store.js";
