import type { Block } from "./block.js";

/** The spilled blocks of one chain, in order. */
export interface Tape {
  append(blocks: readonly Block[]): Promise<void>;
  /**
   * Fills `into` with the blocks from index `from` on. Continuing where the last read ended is fast.
   */
  read(from: number, into: readonly Block[]): Promise<void>;
  /** Frees its space. */
  discard(): Promise<void>;
}

/** Where tapes lie. It does no I/O before the first block is appended. */
export interface TapeSpace {
  tape(): Tape;
  /** Removes all tapes. */
  close(): Promise<void>;
}
