import type { Block } from "./block.js";

/** Blocks out of memory, of one chain, in order. */
export interface Tape {
  append(blocks: readonly Block[]): Promise<void>;
  /** Fills `into` with the blocks from the `from`-th on. Reading on from where the last read ended is fast. */
  read(from: number, into: readonly Block[]): Promise<void>;
  /** Gives its space back. */
  discard(): Promise<void>;
}

/** Where tapes lie. Does no input or output before the first block is appended. */
export interface TapeSpace {
  tape(): Tape;
  /** Removes all tapes. */
  close(): Promise<void>;
}
