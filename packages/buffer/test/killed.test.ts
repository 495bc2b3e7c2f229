import { expect, test } from "@jest/globals";
import { BufferStore } from "@partd/buffer";
import { Dict } from "@partd/core";
import type { AppendOptions, Batch } from "@partd/core/author";

const KEYS = ["a", "b", "c"];

/** What a kill leaves is what the slow store has: looked at after each batch that reaches it. */
class Watched extends Dict {
  readonly lefts: Uint8Array[][] = [];

  protected override async _append(batch: Batch, options: AppendOptions): Promise<void> {
    await super._append(batch, options);
    this.lefts.push(await this._get(KEYS, {}));
  }
}

test("a kill leaves of each key a beginning of what was appended to it, and all that was flushed", async () => {
  const slow = new Watched();
  await using store = new BufferStore(new Dict(), slow, { availableMemory: 200_000 });
  const appended = new Map(KEYS.map((key) => [key, Buffer.alloc(0)]));
  let flushed = KEYS.map(() => 0);
  const check = () => {
    for (const left of slow.lefts.splice(0)) {
      for (const [i, key] of KEYS.entries()) {
        const value = left[i] as Uint8Array;
        const all = appended.get(key) as Buffer;
        expect(Buffer.compare(value, all.subarray(0, value.byteLength))).toBe(0);
        expect(value.byteLength).toBeGreaterThanOrEqual(flushed[i] as number);
      }
    }
  };
  for (let n = 0; n < 80; n++) {
    const lengths = KEYS.map((_, i) => 1 + ((n * 7_919 + i * 104_729) % (i === 0 ? 30_000 : 300)));
    const values = lengths.map((length) => Buffer.alloc(length, `${n} `));
    for (const [i, key] of KEYS.entries()) {
      const all = Buffer.concat([appended.get(key) as Buffer, values[i] as Buffer]);
      appended.set(key, all);
    }
    await store.append(KEYS.map((key, i) => [key, values[i] as Buffer] as const));
    check();
    if (n % 20 !== 19) continue;
    await store.flush();
    check();
    flushed = KEYS.map((key) => (appended.get(key) as Buffer).byteLength);
    expect((await slow.get(KEYS)).map(({ byteLength }) => byteLength)).toEqual(flushed);
  }
});
