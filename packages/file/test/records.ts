import { expect } from "@jest/globals";

/** What the program writer.mjs has told: the numbers of the appends that resolved. */
export type Told = ReadonlyMap<string, ReadonlySet<number>>;

/**
 * Checks what the keys hold, as `get` gave them together: that there is nothing but whole records,
 * that each append is in all of its keys or in none and once, in the order of its writer, and that
 * every append that had resolved is there.
 */
export function checkRecords(values: readonly Uint8Array[], told: Told): void {
  const found = new Map<string, { count: number; width: number }>();
  for (const [i, value] of values.entries()) {
    const last = new Map<string, number>();
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    for (let at = 0; at < bytes.byteLength; ) {
      const header = /^\[(\w+) (\d+) (\d+) (\d+)\]/.exec(bytes.toString("latin1", at, at + 64));
      if (!header) throw new Error(`k${i} holds no record at ${at}`);
      const [whole, name, seq, width, length] = header as unknown as [string, ...string[]];
      const start = at + whole.length;
      const payload = bytes.subarray(start, start + Number(length));
      const wanted = Buffer.alloc(Number(length), `${name}.${seq}/`);
      if (!payload.equals(wanted)) throw new Error(`k${i} holds a damaged record at ${at}`);
      at = start + Number(length) + 1;
      if (bytes[at - 1] !== 59) throw new Error(`k${i} holds a record without end before ${at}`);
      const id = `${name} ${seq}`;
      const append = found.get(id) ?? { count: 0, width: Number(width) };
      append.count++;
      found.set(id, append);
      last.set(name as string, Number(seq));
    }
  }
  for (const [id, { count, width }] of found) {
    if (count !== width) throw new Error(`append ${id} is in ${count} of its ${width} keys`);
  }
  const missing: string[] = [];
  for (const [name, seqs] of told) {
    for (const seq of seqs) if (!found.has(`${name} ${seq}`)) missing.push(`${name} ${seq}`);
  }
  expect(missing).toEqual([]);
}
