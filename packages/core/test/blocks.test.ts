import { describe, expect, test } from "@jest/globals";
import { concatBytes, toBatch } from "@partd/core/author";
import { Blocks, type Loan, type Value } from "@partd/core/memory";
import fc from "fast-check";

/** A plain model of `Blocks`: bytes in arrays. */
class Model {
  readonly blocks = new Blocks();
  readonly values = new Map<string, Uint8Array>();
  readonly loans: { loan: Loan; bytes: Uint8Array }[] = [];
  #byte = 0;

  append(key: string, length: number, owned = false): void {
    const bytes = new Uint8Array(length).map(() => this.#byte++);
    this.blocks.append(toBatch([[key, bytes]]), owned);
    if (length > 0)
      this.values.set(key, concatBytes([this.values.get(key) ?? bytes.subarray(0, 0), bytes]));
  }

  give(key: string, length: number): void {
    this.append(key, length, true);
  }

  cut(key: string, part: number): void {
    const value = this.blocks.get(key);
    if (value === undefined) return;
    const length = Math.ceil(this.blocks.length(value) * part);
    this.blocks.hold(value);
    this.blocks.cut(value, length);
    const rest = (this.values.get(key) as Uint8Array).subarray(length);
    if (rest.length > 0) this.values.set(key, rest);
    else this.values.delete(key);
  }

  remove(key: string): void {
    this.blocks.remove(key);
    this.values.delete(key);
  }

  lend(key: string): void {
    const value = this.blocks.get(key);
    if (value === undefined) return;
    this.loans.push({ loan: this.blocks.lend(value), bytes: this.values.get(key) as Uint8Array });
  }

  endLoan(place: number): void {
    const [lent] = this.loans.splice(place % (this.loans.length || 1), 1);
    if (!lent) return;
    same(concatBytes([...lent.loan]), lent.bytes);
    lent.loan.end();
    lent.loan.end();
  }

  check(): void {
    expect([...this.blocks.keys()].sort()).toEqual([...this.values.keys()].sort());
    let byteLength = 0;
    for (const [key, bytes] of this.values) {
      const value = this.blocks.get(key) as Value;
      same(this.blocks.copy(value), bytes);
      byteLength += bytes.length;
    }
    expect(this.blocks.byteLength).toBe(byteLength);
    expect(this.blocks.footprint).toBeGreaterThanOrEqual(byteLength);
    const lengths = [...this.blocks.largest()].map((value) => this.blocks.length(value));
    expect(lengths.length).toBe(this.values.size);
    for (let i = 1; i < lengths.length; i++) {
      expect(lengths[i]).toBeLessThan(1.25 * (lengths[i - 1] as number) + 1);
    }
  }
}

/** Much faster than `toEqual` for long arrays. */
function same(actual: Uint8Array, expected: Uint8Array): void {
  if (Buffer.compare(actual, expected) !== 0) expect(actual).toEqual(expected);
}

const key = fc.constantFrom("a", "b", "c", "d", "e", "f");
const length = fc.oneof(
  { weight: 6, arbitrary: fc.nat(300) },
  { weight: 2, arbitrary: fc.nat(5000) },
  { weight: 1, arbitrary: fc.constantFrom(64, 128, 65536, 300_000) },
);
const step = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.constant("append" as const), key, length) },
  { weight: 2, arbitrary: fc.tuple(fc.constant("give" as const), key, length) },
  {
    weight: 2,
    arbitrary: fc.tuple(
      fc.constant("cut" as const),
      key,
      fc.oneof(fc.constant(1), fc.double({ min: 0, max: 1, noNaN: true })),
    ),
  },
  { weight: 1, arbitrary: fc.tuple(fc.constant("remove" as const), key, fc.constant(0)) },
  { weight: 1, arbitrary: fc.tuple(fc.constant("lend" as const), key, fc.constant(0)) },
  { weight: 1, arbitrary: fc.tuple(fc.constant("endLoan" as const), key, fc.nat(9)) },
);

describe("Blocks", () => {
  test("holds what a plain model holds, through cuts, removals and loans", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
        const model = new Model();
        for (const [name, key, number] of steps) {
          if (name === "endLoan") model.endLoan(number);
          else model[name](key, number);
        }
        model.check();
        while (model.loans.length > 0) model.endLoan(0);
        model.check();
        model.blocks.clear();
        expect(model.blocks.footprint).toBe(0);
        expect(model.blocks.memory).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  test("memory stays close to what is in use, however values come and go", () => {
    const blocks = new Blocks();
    const piece = new Uint8Array(100);
    const bound = 8 << 20;
    let random = 1;
    let most = 0;
    for (let i = 0; i < 400_000; i++) {
      random = (random * 48271) % 0x7fffffff;
      blocks.append({ keys: [`k${random % 3000}`], values: [piece], byteLength: 100 });
      if (blocks.footprint > bound) {
        // As a buffer does: some of the largest go, and what comes in takes their room.
        const freed: Value[] = [];
        for (const value of blocks.largest()) if (freed.push(value) === 300) break;
        for (const value of freed) blocks.hold(value);
        for (const value of freed) blocks.cut(value, blocks.length(value));
      }
      most = Math.max(most, blocks.memory);
    }
    expect(most).toBeLessThan(1.1 * bound + (2 << 20));
  });

  test("a large array that is given away is kept as it is, and let go with its value", () => {
    const blocks = new Blocks();
    const bytes = new Uint8Array(1_000_000).fill(1);
    blocks.append(toBatch([["x", new Uint8Array(100)]]));
    const before = blocks.memory;
    blocks.append(toBatch([["x", bytes]]), true);
    const value = blocks.get("x") as Value;
    expect(blocks.memory - before).toBe(1_000_000);
    expect(blocks.views(value).some(({ buffer }) => buffer === bytes.buffer)).toBe(true);
    blocks.append(toBatch([["y", bytes.subarray(0, 300_000)]]), true); // Most of it is not given.
    expect(blocks.views(blocks.get("y") as Value)[0]?.buffer).not.toBe(bytes.buffer);
    const twice = { keys: ["x", "x"], values: [bytes, null as never], byteLength: 1_000_000 };
    expect(() => blocks.append(twice, true)).toThrow();
    expect(blocks.length(value)).toBe(1_000_100);
    blocks.append(toBatch([["x", Uint8Array.of(7)]]));
    expect(blocks.copy(value).at(-1)).toBe(7);
    blocks.remove("x");
    blocks.remove("y");
    expect([blocks.memory, blocks.footprint]).toEqual([0, 0]);
  });

  test("a batch that does not fit is added not at all", () => {
    const blocks = new Blocks();
    blocks.append(toBatch({ a: new Uint8Array(10) }));
    const bad = null as unknown as Uint8Array;
    const batch = { keys: ["a", "b", "c"], values: [new Uint8Array(500), new Uint8Array(5), bad] };
    expect(() => blocks.append({ ...batch, byteLength: 515 })).toThrow();
    expect([...blocks.keys()]).toEqual(["a"]);
    expect(blocks.copy(blocks.get("a") as Value)).toEqual(new Uint8Array(10));
    expect(blocks.byteLength).toBe(10);
  });
});

test("an array of more than 2 GiB that was given away can be cut anywhere", () => {
  const blocks = new Blocks();
  const bytes = new Uint8Array(2 ** 31 + 9); // Of which the system gives memory for a page.
  bytes.set([1, 2, 3], 2 ** 31 + 6);
  blocks.append(toBatch([["x", bytes]]), true);
  const value = blocks.get("x") as Value;
  blocks.hold(value);
  blocks.cut(value, 2 ** 31 + 5);
  blocks.append(toBatch([["x", Uint8Array.of(4)]]));
  expect([...blocks.copy(value)]).toEqual([0, 1, 2, 3, 4]);
  blocks.clear();
  expect(blocks.memory).toBe(0);
});
