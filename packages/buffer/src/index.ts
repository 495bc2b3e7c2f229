export { type BufferOptions, BufferStore } from "./buffer-store.js";
export type {
  BufferListeners,
  BufferStats,
  SpillErrorEvent,
  SpillEvent,
  WaitEvent,
} from "./stats.js";
