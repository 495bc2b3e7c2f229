import { crc32 } from "@partd/disk";
import { ByteReader, ByteWriter } from "./bytes.js";
import type { CommitId } from "./names.js";

/**
 * A set of commits: those that a removal has seen, and therefore removes. A commit discovered later
 * is in none, whatever its stamp, so nothing unseen is removed.
 */
export class Cover {
  /** For each writer, the first and last sequence of each run, ascending. */
  readonly #runs = new Map<string, number[]>();

  static of(commits: Iterable<CommitId>): Cover {
    const sequences = new Map<string, number[]>();
    for (const { writer, sequence } of commits) {
      const list = sequences.get(writer);
      if (list) list.push(sequence);
      else sequences.set(writer, [sequence]);
    }
    const cover = new Cover();
    for (const [writer, list] of sequences) {
      const runs: number[] = [];
      for (const sequence of list.sort((a, b) => a - b)) {
        const last = runs.length - 1;
        if (last > 0 && sequence <= (runs[last] as number) + 1) runs[last] = sequence;
        else runs.push(sequence, sequence);
      }
      cover.#runs.set(writer, runs);
    }
    return cover;
  }

  has({ writer, sequence }: CommitId): boolean {
    const runs = this.#runs.get(writer);
    if (!runs) return false;
    let from = 0;
    let to = runs.length / 2;
    while (from < to) {
      const middle = (from + to) >> 1;
      if ((runs[2 * middle + 1] as number) < sequence) from = middle + 1;
      else to = middle;
    }
    return 2 * from < runs.length && (runs[2 * from] as number) <= sequence;
  }

  write(to: ByteWriter): void {
    to.varint(this.#runs.size);
    for (const [writer, runs] of this.#runs) {
      to.append(Buffer.from(writer, "hex"));
      to.varint(runs.length / 2);
      let before = 0;
      for (let i = 0; i < runs.length; i += 2) {
        const first = runs[i] as number;
        const last = runs[i + 1] as number;
        to.varint(first - before);
        to.varint(last - first);
        before = last;
      }
    }
  }

  /** @throws `RangeError` for bytes that {@link write} does not write. */
  static read(from: ByteReader): Cover {
    const cover = new Cover();
    for (let writers = from.varint(); writers > 0; writers--) {
      const start = from.at;
      from.skip(8);
      const writer = from.bytes.toString("hex", start, from.at);
      const runs: number[] = [];
      let before = 0;
      for (let count = from.varint(); count > 0; count--) {
        const first = before + from.varint();
        before = first + from.varint();
        if (before >= 2 ** 32) throw new RangeError("a sequence is too large");
        runs.push(first, before);
      }
      cover.#runs.set(writer, runs);
    }
    return cover;
  }

  /** An object that holds nothing else: the cover, and a CRC-32 of it. */
  toObject(): Buffer {
    const object = new ByteWriter();
    this.write(object);
    object.uint32(crc32(object.bytes));
    return object.bytes;
  }

  /** @throws `RangeError` for bytes that {@link toObject} does not give. */
  static ofObject(object: Buffer): Cover {
    const end = object.length - 4;
    if (end < 0 || crc32(object.subarray(0, end)) !== object.readUInt32LE(end)) {
      throw new RangeError("its checksum is wrong");
    }
    const reader = new ByteReader(object, 0, end);
    const cover = Cover.read(reader);
    if (!reader.isAtEnd) throw new RangeError("something follows");
    return cover;
  }
}
