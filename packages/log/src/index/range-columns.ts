/**
 * Where values lie in a segment, in columns of numbers: a row for each range of one key, and a row for
 * each *group*, a stretch of payload with one checksum. A large value is one range over several groups.
 */
export class RangeColumns {
  /** How many rows count; later ones are in preparation. */
  count = 0;
  // Small at first: a get of one key needs few rows, and V8 keeps arrays of up to 64 bytes in its own
  // heap.
  key = new Uint32Array(16);
  /** The (first) group that holds the range. */
  group = new Uint32Array(16);
  /** Bytes of the group before the range. */
  delta = new Uint32Array(16);
  length = new Uint32Array(16);

  groupCount = 0;
  /** Position in the file. */
  start = new Float64Array(8);
  groupLength = new Uint32Array(8);
  crc = new Uint32Array(8);
  /** The stamp of the record that the group belongs to. */
  stamp = new Float64Array(8);

  /** In bytes. */
  get memory(): number {
    return 16 * this.key.length + 24 * this.start.length;
  }

  reserve(rows: number): void {
    if (rows <= this.key.length) return;
    const size = grownSize(this.key.length, rows);
    this.key = grown(this.key, size);
    this.group = grown(this.group, size);
    this.delta = grown(this.delta, size);
    this.length = grown(this.length, size);
  }

  reserveGroups(rows: number): void {
    if (rows <= this.start.length) return;
    const size = grownSize(this.start.length, rows);
    this.start = grown(this.start, size);
    this.groupLength = grown(this.groupLength, size);
    this.crc = grown(this.crc, size);
    this.stamp = grown(this.stamp, size);
  }

  /** The stamp of the record that a range belongs to. */
  stampOf(row: number): number {
    return this.stamp[this.group[row] as number] as number;
  }

  /** Whether the range has checksums of its own. */
  ownsGroups(row: number): boolean {
    return (
      this.delta[row] === 0 &&
      (this.length[row] as number) >= (this.groupLength[this.group[row] as number] as number)
    );
  }
}

type Column = Uint32Array | Int32Array | Float64Array;

export function grown<T extends Column>(column: T, size: number): T {
  const larger = new (column.constructor as new (size: number) => T)(size);
  larger.set(column as never);
  return larger;
}

export function grownSize(size: number, needed: number): number {
  // A large one grows by half: doubling would leave up to half of it idle.
  let next = size;
  while (next < needed) next = next < 2 ** 20 ? next * 2 : Math.ceil(next * 1.5);
  return next;
}
