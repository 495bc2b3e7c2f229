import type { KeyedBatch } from "../source/keyed-batch.js";

/** The progress of a run. */
export interface Progress {
  /**
   * `"read"`: the source is being read. `"write"`: results are being made. `"done"`: all have been read. `"stopped"`: the
   * run ended before that, by an abort, an error, or a reader who left.
   */
  readonly phase: "read" | "write" | "done" | "stopped";
  /** Records of the source that were read. */
  readonly records: number;
  /** Bytes of the source that were read, in the source's format; for objects, as they are stored. */
  readonly bytes: number;
  /** Bytes of the source, if known. */
  readonly totalBytes: number | undefined;
  /** Bytes written to the disk or store so far, because they did not fit in memory. */
  readonly bytesSpilled: number;
  /** Bytes read a second, on average. */
  readonly bytesPerSecond: number;
  /** While the source is read and `totalBytes` is known: seconds until it has been. */
  readonly secondsLeft: number | undefined;
}

/** Counts progress, and reports it now and then. */
export class ProgressReport {
  readonly #listener: ((progress: Progress) => void) | undefined;
  readonly #totalBytes: number | undefined;
  readonly #bytesSpilled: () => number;
  readonly #begun = performance.now();
  #told = this.#begun;
  #phase: Progress["phase"] = "read";
  #records = 0;
  #bytes = 0;
  #consumed = 0;
  /** What the listener has thrown. It is not called again, and the run ends with this error. */
  #failure: { readonly error: unknown } | undefined;

  constructor(
    listener: ((progress: Progress) => void) | undefined,
    totalBytes: number | undefined,
    bytesSpilled: () => number,
  ) {
    this.#listener = listener;
    this.#totalBytes = totalBytes;
    this.#bytesSpilled = bytesSpilled;
  }

  /**
   * Notes that a batch has been read.
   *
   * @param consumed bytes of its source so far, if the source counts them itself.
   * @throws what the listener has thrown, as {@link write} and {@link done} do.
   */
  read({ count, ends }: Pick<KeyedBatch, "count" | "ends">, consumed: number | undefined): void {
    if (consumed === undefined) {
      this.add(count, ends[count - 1] ?? 0);
    } else {
      // The second source of a join counts from 0 again.
      const before = consumed < this.#consumed ? 0 : this.#consumed;
      this.#consumed = consumed;
      this.add(count, consumed - before);
    }
    this.#check();
  }

  /** Notes that this many records and bytes have been read, also by a thread, whose messages must not throw. */
  add(records: number, bytes: number): void {
    this.#records += records;
    this.#bytes += bytes;
    if (this.#listener && performance.now() - this.#told > INTERVAL_MS) this.#tell();
  }

  /** Notes that the source has been read. */
  write(): void {
    this.#phase = "write";
    if (this.#listener) this.#tell();
    this.#check();
  }

  /** Notes that all results have been read. */
  done(): void {
    this.#end("done");
    this.#check();
  }

  #check(): void {
    if (this.#failure) throw this.#failure.error;
  }

  /** Ends the report, with `"stopped"` if the run is not done. */
  end(): void {
    if (this.#phase !== "done") this.#end("stopped");
  }

  #end(phase: "done" | "stopped"): void {
    this.#phase = phase;
    if (this.#listener) this.#tell();
  }

  #tell(): void {
    const now = performance.now();
    this.#told = now;
    if (this.#failure) return;
    const rate = this.#bytes / Math.max(1e-3, (now - this.#begun) / 1000);
    const progress: Progress = {
      phase: this.#phase,
      records: this.#records,
      bytes: this.#bytes,
      totalBytes: this.#totalBytes,
      bytesSpilled: this.#bytesSpilled(),
      bytesPerSecond: rate,
      secondsLeft:
        this.#totalBytes === undefined || this.#phase !== "read"
          ? undefined
          : Math.max(0, this.#totalBytes - this.#bytes) / Math.max(1, rate),
    };
    try {
      this.#listener?.(progress);
    } catch (error) {
      this.#failure = { error };
    }
  }
}

/** The time between two reports. */
const INTERVAL_MS = 100;
