export { type BufferOptions, type BufferStats, BufferStore } from "./buffer-store.js";
export type {
  BufferListeners,
  SpillErrorEvent,
  SpillEvent,
  WaitEvent,
} from "./tally.js";
