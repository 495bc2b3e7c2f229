import { openPart, type RecordsPart, type Scanner } from "@partd/records";
import { batchOptions, type RecordLimit } from "../run/record-limit.js";
import type { JoinKind } from "./kind.js";

/** A join of lines of JSON by fields. Both sides are plain files. */
export interface LineJob {
  readonly by: readonly string[];
  readonly rightBy: readonly string[];
  readonly kind: LineKind;
  readonly left: readonly RecordsPart[];
  readonly right: readonly RecordsPart[];
  /** Memory for the right side, in each thread. */
  readonly mostBytes: number;
  readonly limit: RecordLimit | undefined;
}

/** The kinds that need not know which records on the right have no partner. */
export type LineKind = Exclude<JoinKind, "right" | "full">;

/** Called with the records and bytes that have been read. */
export type OnRead = (records: number, bytes: number) => void;

/**
 * Joins parts of the left side with the whole right side, which its scanner holds. No line is parsed.
 */
export class LineJoiner {
  readonly #kind: LineKind;
  readonly #scanner: Scanner;
  /** For all parts: new memory for each took as long as the scan. */
  readonly #into: Uint8Array<ArrayBuffer>;
  readonly #limit: RecordLimit | undefined;

  private constructor({ kind, limit }: LineJob, scanner: Scanner, into: Uint8Array<ArrayBuffer>) {
    this.#kind = kind;
    this.#limit = limit;
    this.#scanner = scanner;
    this.#into = into;
  }

  /**
   * Reads the right side. @returns `undefined` if it is too large, or if this scanner cannot hold it.
   */
  static async open(
    job: LineJob,
    onRead: OnRead,
    signal?: AbortSignal,
  ): Promise<LineJoiner | undefined> {
    const { by, rightBy, left, right, mostBytes, limit } = job;
    const [first] = left;
    if (!first) return undefined;
    const scanner = openPart(first).format.scanner(by, { partners: rightBy });
    const { partners } = scanner;
    if (!partners) return undefined;
    const into = new Uint8Array(READ_BYTES);
    for (const part of right) {
      for await (const batch of openPart(part).batches({
        ...batchOptions({ signal, limit }),
        into,
      })) {
        if (!partners.keep(batch) || partners.byteLength > mostBytes) return undefined;
        onRead(0, batch.bytes.length);
      }
    }
    return new LineJoiner(job, scanner, into);
  }

  /**
   * Yields the joined lines of a part, in pieces that the caller may keep.
   *
   * @returns where in its file the rest begins that could not be joined, because of a record that is
   *   too long.
   */
  async *part(
    part: RecordsPart,
    onRead: OnRead,
  ): AsyncGenerator<Uint8Array<ArrayBuffer>, number | undefined> {
    const { partners } = this.#scanner;
    const options = { ...batchOptions({ limit: this.#limit }), into: this.#into };
    for await (const batch of openPart(part).batches(options)) {
      const scan = this.#scanner.scan(batch);
      const lines = partners!.lines(scan, this.#kind);
      if (!lines) return batch.position.byteOffset;
      onRead(scan.count, batch.bytes.length);
      yield* lines;
    }
    return undefined;
  }
}

/** Bytes of a part of the left side. */
export const PART_BYTES = 2 << 20;
/** Room for a part, and for the record that crosses its end. */
const READ_BYTES = PART_BYTES + (64 << 10);
