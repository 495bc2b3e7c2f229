import { fstatSync } from "node:fs";
import { decodeKey, isPartdError, type Key, type OperationOptions } from "@partd/core";
import { type OptionNames, Pace } from "@partd/core/author";
import { crc32 } from "@partd/disk";
import type { DataSet } from "./data-set/data-set.js";
import { Manifest } from "./data-set/manifest.js";
import type { Segment } from "./data-set/segment.js";
import {
  RECORD_HEAD,
  type RecordHead,
  readHead,
  SEGMENT_HEADER,
  segmentHeaderDamage,
} from "./format/layout.js";
import { decodeTable, findHead, UNKNOWN_KEY, Window } from "./format/scan.js";
import { GrowingIndex, type RangeColumns } from "./index/range-chains.js";
import { StoredIndex } from "./index/stored-index.js";

/** How far `compact` or `verify` has come. */
export interface Progress {
  /** Bytes that were read or copied. */
  readonly bytesDone: number;
  /** Bytes to be read or copied in all, for a bar; not what the result takes. */
  readonly bytesTotal: number;
}

/** Options of `compact` and `verify`. */
export interface LongOptions extends OperationOptions {
  /** Called from time to time, and at the end, when all bytes are done. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

export const LONG_OPTIONS: OptionNames<LongOptions> = { signal: true, onProgress: true };

/** A damaged stretch of a file. */
export interface Damage {
  /** The segment, its index, or the manifest. */
  readonly path: string;
  /** Where it begins in the file, in bytes. */
  readonly offset: number;
  /** In bytes. */
  readonly length: number;
  /** The keys whose bytes lie there, or `undefined` if they are unknown. */
  readonly keys: readonly Key[] | undefined;
  /** What is wrong, for people. */
  readonly reason: string;
}

/** What `verify` has found. */
export interface VerifyReport {
  /** Segments that were read. */
  readonly segments: number;
  /** Records that were read: each holds appends that were written together, or a deletion. */
  readonly records: number;
  /** Bytes that were read. */
  readonly bytes: number;
  /** Stretches whose bytes are not those that were written. Empty if all is well. */
  readonly damage: readonly Damage[];
  /**
   * What a killed writer or a full disk has left: a line of the manifest without its end; or what
   * follows a segment's last record. That is an append that was cut short, or records so damaged that
   * they look like one.
   */
  readonly torn: readonly Damage[];
}

/** A segment as it was when the verification began. */
interface Snapshot {
  readonly segment: Segment;
  /** Where its records end. */
  readonly end: number;
  /** Whether `end` is recorded, so that a shorter file is damage. */
  readonly finished: boolean;
  /** Length of the file, or of the part of it that is not being written. */
  readonly size: number;
}

export class Verification {
  readonly #manifest: string;
  /** Why the list of segments may be incomplete. */
  readonly #lost: string | undefined;
  readonly #snapshots: readonly Snapshot[];
  readonly #damage: Damage[] = [];
  readonly #torn: Damage[] = [];
  readonly #pace = new Pace();
  #records = 0;
  #bytes = 0;

  constructor(dataSet: DataSet) {
    this.#manifest = dataSet.manifest.path;
    this.#lost = reasonOf(() => dataSet.inventory.check());
    this.#snapshots = dataSet.segments.flatMap((segment) => {
      const snapshot = this.#attempt(segment, () => snapshotOf(segment));
      if (!snapshot) return [];
      segment.hold();
      return [snapshot];
    });
  }

  async run(
    signal: AbortSignal,
    onProgress: ((progress: Progress) => void) | undefined,
  ): Promise<VerifyReport> {
    try {
      const bytesTotal = this.#snapshots.reduce((sum, { size }) => sum + size, 0);
      this.#readManifest();
      for (const snapshot of this.#snapshots) {
        await this.#readSegment(snapshot, () => {
          signal.throwIfAborted();
          onProgress?.({ bytesDone: this.#bytes, bytesTotal });
        });
        await this.#readIndex(snapshot, signal);
      }
      onProgress?.({ bytesDone: bytesTotal, bytesTotal });
    } finally {
      for (const { segment } of this.#snapshots) segment.unhold();
    }
    return {
      segments: this.#snapshots.length,
      records: this.#records,
      bytes: this.#bytes,
      damage: this.#damage,
      torn: this.#torn,
    };
  }

  #readManifest(): void {
    const path = this.#manifest;
    const at = (offset: number, reason: string): Damage => {
      return { path, offset, length: 0, keys: undefined, reason };
    };
    if (this.#lost) this.#damage.push(at(0, this.#lost));
    try {
      const manifest = new Manifest(path);
      try {
        while (manifest.hasUnread) manifest.news();
      } finally {
        manifest.close();
      }
      const cutShort = new Set(manifest.cutShort);
      for (const offset of manifest.damaged) {
        if (cutShort.has(offset)) this.#torn.push(at(offset, "a line was cut short"));
        else this.#damage.push(at(offset, "a line does not match its checksum"));
      }
    } catch (error) {
      this.#damage.push(at(0, (error as Error).message));
    }
  }

  async #readSegment(snapshot: Snapshot, onRecord: () => void): Promise<void> {
    const { segment, end, finished, size } = snapshot;
    const { path } = segment;
    const window = new Window(segment, Math.min(end, size));
    // Records are decoded into it one at a time; only its keys stay.
    const index = new GrowingIndex();
    let at = SEGMENT_HEADER;
    const found = (offset: number, to: number, reason: string, itsKeys?: readonly Key[]) =>
      this.#damage.push({ path, offset, length: to - offset, keys: itsKeys, reason });
    if (size > 0 || finished) {
      const header = await window.read(0, SEGMENT_HEADER);
      const reason = segmentHeaderDamage(header, segment.id, path);
      if (reason) found(0, SEGMENT_HEADER, reason);
    }
    const stop = Math.min(end, size);
    while (at < stop) {
      onRecord();
      const head = readHead(await window.read(at, RECORD_HEAD), segment.seed, at);
      if (!head) {
        const next = (await findHead(window, segment, at + 1, stop)) ?? stop;
        if (size < end && next === stop) break;
        found(at, next, "the head of a record does not match its checksum");
        at = next;
        continue;
      }
      const payload = at + RECORD_HEAD + head.tableLength;
      const recordEnd = payload + head.payloadLength;
      const isCut = recordEnd > stop;
      if (isCut && (!finished || recordEnd > end)) break;
      const bytes = await window.read(at + RECORD_HEAD, head.tableLength);
      if (isCut && crc32(bytes) !== head.tableCrc) break;
      if (crc32(bytes) !== head.tableCrc) {
        found(at, payload, "the table of a record does not match its checksum");
      } else {
        decodeTable(bytes, head, payload, index, path);
        await this.#readPayload(head, index, window, found);
      }
      this.#records++;
      this.#bytes += Math.min(recordEnd, stop) - at;
      at = recordEnd;
      if (this.#pace.due) await this.#pace.rest();
    }
    if (size < end && at < end) found(at, end, "the file was cut short");
    else if (size > end) {
      const reason = "no whole record";
      this.#torn.push({ path, offset: end, length: size - end, keys: undefined, reason });
    }
  }

  async #readPayload(
    head: RecordHead,
    { columns, keys }: GrowingIndex,
    window: Window,
    found: (offset: number, to: number, reason: string, keys?: readonly Key[]) => void,
  ): Promise<void> {
    let row = 0;
    for (let group = 0; group < head.groups; group++) {
      const start = columns.start[group] as number;
      const length = columns.groupLength[group] as number;
      const bytes = await window.read(start, length);
      const whole = bytes.length === length && crc32(bytes) === columns.crc[group];
      if (this.#pace.due) await this.#pace.rest();
      if (whole) continue;
      // Skips to the rows of this group.
      while (row < head.entries && lastGroup(columns, row) < group) row++;
      const texts = new Set<string>();
      for (let i = row; i < head.entries && (columns.group[i] as number) <= group; i++) {
        if (columns.length[i] !== 0) texts.add(keys.text(columns.key[i] as number));
      }
      const known = !texts.has(UNKNOWN_KEY);
      found(
        start,
        start + length,
        "bytes of values do not match their checksum",
        known ? [...texts].map(decodeKey) : undefined,
      );
    }
  }

  async #readIndex({ segment, finished }: Snapshot, signal: AbortSignal): Promise<void> {
    if (!finished) return;
    const { indexPath, id } = segment;
    try {
      await (await StoredIndex.open(indexPath, id))?.check(signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
      if (!isPartdError(error, "ERR_PARTD_CORRUPT")) throw error;
      const reason = error.message;
      this.#damage.push({ path: indexPath, offset: 0, length: 0, keys: undefined, reason });
    }
  }

  #attempt<T>({ path }: Segment, work: () => T): T | undefined {
    let result: T | undefined;
    const reason = reasonOf(() => {
      result = work();
    });
    if (reason) this.#damage.push({ path, offset: 0, length: 0, keys: undefined, reason });
    return result;
  }
}

/** Why `work` fails, if it does. */
function reasonOf(work: () => void): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function snapshotOf(segment: Segment): Snapshot {
  const { finished, position } = segment;
  const { size } = fstatSync(segment.fd);
  if (finished) return { segment, end: finished.end, finished: true, size };
  return { segment, end: position, finished: false, size: segment.complete ? size : position };
}

function lastGroup(columns: RangeColumns, row: number): number {
  let last = columns.group[row] as number;
  if (!columns.ownsGroups(row)) return last;
  let left = columns.length[row] as number;
  while (left > (columns.groupLength[last] as number)) {
    left -= columns.groupLength[last] as number;
    last++;
  }
  return last;
}
