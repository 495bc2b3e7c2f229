import { totalmem } from "node:os";
import { PartdError, type Store, tuple } from "@partd/core";
import { checkIntegerOption, type LowerStore, type OptionNames } from "@partd/core/author";
import type { Block } from "../spill/block.js";
import type { Tape, TapeSpace } from "../spill/tape.js";
import { TemporaryFile } from "../spill/temporary-file.js";
import { Workspace } from "../spill/workspace.js";
import { checkSignal } from "./output.js";
import { type Progress, ProgressReport } from "./progress.js";
import { limitOf, type Operation, type Reading } from "./record-limit.js";

/**
 * The options of every operation. A wrong option is `ERR_PARTD_VALUE`, at the call or when the result
 * is first read. While the result is read, the iteration may reject with `ERR_PARTD_CORRUPT` (a
 * `RecordError` of `@partd/records`: a malformed record, with file, line and column), `ERR_PARTD_KEY`
 * (a key that is not data), `ERR_PARTD_CODEC` (an object that structuredClone() cannot copy),
 * `ERR_PARTD_IO` (a file that cannot be read, a full disk), and with what the source, a function or a
 * store throws.
 */
export interface RunOptions {
  /**
   * Bytes of memory for records, at least 1 MB. Resident memory stays below this and 150 MiB for
   * everything else, whatever the size of the input. Default: a quarter of what the process may use.
   * This also holds for long keys, and for long records while they stay bytes; a parsed record, and a key
   * that you read, come on top. A record longer than `longestRecord()` is `ERR_PARTD_CORRUPT`.
   */
  readonly memory?: number | undefined;
  /**
   * The folder for what does not fit in memory; created if missing. Nothing is written while everything
   * fits. What was written is removed at the end of the run or, if the process is killed, by the next
   * run there. Default: `os.tmpdir()`.
   */
  readonly dir?: string | undefined;
  /**
   * A store for what does not fit in memory, instead of a temporary file. It is not closed. A process that
   * is killed leaves what it wrote there, under keys that begin with `partd-shuffle`.
   */
  readonly store?: Store | undefined;
  /** Ends the run: the iteration rejects with the signal's reason, and what was spilled is removed. */
  readonly signal?: AbortSignal | undefined;
  /** Called about ten times a second, and at the end. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

export const RUN_OPTIONS: OptionNames<RunOptions> = {
  memory: true,
  dir: true,
  store: true,
  signal: true,
  onProgress: true,
};

/** One running operation: its memory, its spilled data, its progress. */
export class Run {
  /** Bytes of memory, as the options say or by default. */
  readonly memory: number;
  readonly workspace: Workspace;
  readonly progress: ProgressReport;
  readonly signal: AbortSignal | undefined;
  readonly reading: Reading;

  /**
   * @param byteLength bytes of the input, if known.
   * @param growing how many chains grow at the same time, if known.
   * @param space for what does not fit in memory, in place of what the options name.
   */
  constructor(
    operation: Operation,
    options: RunOptions,
    byteLength?: number,
    growing?: number,
    space?: TapeSpace,
  ) {
    checkRunOptions(options);
    const memory = memoryFor(options);
    this.memory = memory;
    this.signal = options.signal;
    const spilled =
      space ??
      (options.store
        ? new StoreSpace(options.store)
        : new TemporaryFile(options.dir, spillOf(byteLength, memory)));
    this.workspace = new Workspace(memory * SHARE, spilled, options.signal, growing);
    this.reading = {
      signal: options.signal,
      limit: limitOf(operation, memory),
      makeRoom: (bytes) => this.workspace.makeRoom(bytes),
    };
    this.progress = new ProgressReport(
      options.onProgress,
      byteLength,
      () => this.workspace.bytesSpilled,
    );
  }

  async close(): Promise<void> {
    this.progress.end();
    await this.workspace.close();
  }
}

function checkRunOptions({ dir, store, signal, onProgress }: RunOptions): void {
  const check = (name: string, given: unknown, isFit: boolean, what: string) => {
    if (given === undefined || isFit) return;
    throw new PartdError("ERR_PARTD_VALUE", `${name} must be ${what}, not ${String(given)}.`);
  };
  check("dir", dir, typeof dir === "string", "the path of a folder");
  check(
    "store",
    store,
    typeof store?.append === "function" && (store as LowerStore).holdsValues !== true,
    "a store of bytes without a codec, such as new FileStore(path)",
  );
  checkSignal(signal);
  check("onProgress", onProgress, typeof onProgress === "function", "a function");
}

/** Bytes that will probably be spilled. */
export function spillOf(byteLength: number | undefined, memory: number): number {
  return Math.max(0, (byteLength ?? 0) - memory);
}

/** The checked bytes of `options.memory`. */
export function memoryFor({ memory }: RunOptions): number {
  if (memory !== undefined) {
    const bytes = typeof memory === "number" ? Math.floor(memory) : memory;
    return checkIntegerOption("memory", bytes, LEAST_MEMORY, Number.MAX_SAFE_INTEGER);
  }
  // 0 without a limit; more than all memory if the control group has none.
  const constrained = process.constrainedMemory();
  const most = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
  return Math.floor(most / 4);
}

const LEAST_MEMORY = 1e6;
/** The workspace's share of memory. The rest is for batches on their way, and for records while they are decoded. */
const SHARE = 0.8;

/**
 * Tapes in a store of the user's choice. Each tape is a key to which blocks are appended. The keys are
 * unique to the run, so several runs may share a store.
 */
class StoreSpace implements TapeSpace {
  readonly #store: Store;
  readonly #run: string;
  readonly #names = new Set<string>();
  /** The tapes that are being read. */
  readonly #streams = new Set<BlockStream>();
  #next = 0;

  constructor(store: Store) {
    this.#store = store;
    this.#run = crypto.randomUUID();
  }

  tape(): Tape {
    const name = String(this.#next++);
    const key = tuple("partd-shuffle", this.#run, name);
    const store = this.#store;
    const names = this.#names;
    const streams = this.#streams;
    let position = 0;
    let reading: BlockStream | undefined;
    const end = async () => {
      if (!reading) return;
      streams.delete(reading);
      await reading.close();
      reading = undefined;
    };
    return {
      async append(blocks) {
        names.add(name);
        await store.append(blocks.map(({ bytes }) => [key, bytes] as const));
      },
      async read(from, into) {
        if (!reading || from < position) {
          await end();
          reading = new BlockStream(store.stream(key));
          streams.add(reading);
          position = 0;
        }
        while (position < from) {
          await reading.fill(into[0]!);
          position++;
        }
        for (const block of into) {
          await reading.fill(block);
          position++;
        }
      },
      async discard() {
        await end();
        if (names.delete(name)) await store.delete(key);
      },
    };
  }

  async close(): Promise<void> {
    // A stream may keep a file of the store open until it ends.
    for (const stream of this.#streams) await stream.close();
    this.#streams.clear();
    const keys = [...this.#names].map((name) => tuple("partd-shuffle", this.#run, name));
    this.#names.clear();
    if (keys.length > 0) await this.#store.delete(keys);
  }
}

/** Reads a value in blocks; the store yields it in pieces of any length. */
class BlockStream {
  readonly #pieces: AsyncIterator<Uint8Array>;
  #piece: Uint8Array = new Uint8Array();

  constructor(stream: AsyncIterable<Uint8Array>) {
    this.#pieces = stream[Symbol.asyncIterator]();
  }

  async fill(block: Block): Promise<void> {
    let filled = 0;
    while (filled < block.bytes.length) {
      if (this.#piece.length === 0) {
        const { value, done } = await this.#pieces.next();
        if (done) {
          throw new PartdError(
            "ERR_PARTD_CORRUPT",
            "The store holds fewer bytes than were spilled to it: keep others from changing it during a run.",
          );
        }
        this.#piece = value;
        continue;
      }
      const part = this.#piece.subarray(0, block.bytes.length - filled);
      block.bytes.set(part, filled);
      filled += part.length;
      this.#piece = this.#piece.subarray(part.length);
    }
  }

  async close(): Promise<void> {
    await this.#pieces.return?.();
  }
}
