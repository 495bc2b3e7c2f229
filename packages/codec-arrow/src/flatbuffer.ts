/**
 * The type of a field in a FlatBuffers table: `size` bytes inline, a string, a vector of elements
 * of `size` bytes, a table, a vector of tables, or a union, whose type the preceding field holds.
 */
export type FieldSpec =
  | { readonly kind: "inline"; readonly size: number }
  | { readonly kind: "string" }
  | { readonly kind: "vector"; readonly size: number }
  | { readonly kind: "table" | "tables"; readonly of: () => TableSpec }
  | { readonly kind: "union"; readonly of: (type: number) => TableSpec | undefined };

/** Fields in the order of their ids. */
export type TableSpec = readonly FieldSpec[];

/**
 * A FlatBuffers table that was checked as far as its {@link TableSpec} describes it: every offset
 * points within the bytes, no vector is longer than they are, and no table contains itself
 * (https://flatbuffers.dev/internals). Without the check, a single wrong byte can make a reader
 * visit 2^31 elements that do not exist.
 */
export class CheckedTable {
  readonly #view: DataView;
  readonly #fields: readonly number[];

  private constructor(view: DataView, fields: readonly number[]) {
    this.#view = view;
    this.#fields = fields;
  }

  /** @throws Error if the bytes do not hold such a table. */
  static root(bytes: Uint8Array, spec: TableSpec): CheckedTable {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    // Each table takes bytes of its own, so more tables than bytes mean a cycle.
    const budget = { tables: bytes.byteLength };
    return CheckedTable.#check(view, follow(view, 0), spec, 0, budget);
  }

  static #check(
    view: DataView,
    position: number,
    spec: TableSpec,
    depth: number,
    budget: { tables: number },
  ): CheckedTable {
    if (depth > MAX_DEPTH || budget.tables-- <= 0) throw bad("tables within tables");
    const table = new CheckedTable(view, fieldOffsets(view, position));
    for (const [id, field] of spec.entries()) {
      const at = table.#fields[id];
      if (!at) continue;
      switch (field.kind) {
        case "inline":
          within(view, at, field.size);
          break;
        case "string":
          vector(view, at, 1);
          break;
        case "vector":
          vector(view, at, field.size);
          break;
        case "table":
          CheckedTable.#check(view, follow(view, at), field.of(), depth + 1, budget);
          break;
        case "tables": {
          const { start, length } = vector(view, at, 4);
          for (let i = 0; i < length; i++) {
            CheckedTable.#check(view, follow(view, start + i * 4), field.of(), depth + 1, budget);
          }
          break;
        }
        case "union": {
          const type = table.byte(id - 1);
          const of = field.of(type);
          if (of === undefined) throw bad(`type ${type}`);
          CheckedTable.#check(view, follow(view, at), of, depth + 1, budget);
        }
      }
    }
    return table;
  }

  /** Where a field begins, or 0 if it is absent. */
  place(id: number): number {
    return this.#fields[id] ?? 0;
  }

  byte(id: number): number {
    const at = this.#fields[id];
    return at ? this.#view.getUint8(at) : 0;
  }

  /** A 32-bit integer, or `undefined` if it is absent. */
  int(id: number): number | undefined {
    const at = this.#fields[id];
    return at ? this.#view.getInt32(at, true) : undefined;
  }

  /**
   * A 64-bit integer. A negative or unsafe one is returned as -1, which no length or offset can be.
   */
  long(id: number): number {
    const at = this.#fields[id];
    return at ? safeLong(this.#view, at) : 0;
  }

  /** The 64-bit integers of a vector field, `each` of them in an element. */
  longs(id: number, each: number): number[] {
    const at = this.#fields[id];
    if (!at) return [];
    const start = at + this.#view.getUint32(at, true);
    const count = this.#view.getUint32(start, true) * each;
    const longs: number[] = [];
    for (let i = 0; i < count; i++) longs.push(safeLong(this.#view, start + 4 + i * 8));
    return longs;
  }

  /** The tables of a vector field that the spec covers. */
  tables(id: number): CheckedTable[] {
    const at = this.#fields[id];
    if (!at) return [];
    const { start, length } = vector(this.#view, at, 4);
    return Array.from({ length }, (_, i) => {
      const position = follow(this.#view, start + i * 4);
      return new CheckedTable(this.#view, fieldOffsets(this.#view, position));
    });
  }

  /** The table in a field that the spec covers. */
  table(id: number): CheckedTable | undefined {
    const at = this.#fields[id];
    if (!at) return undefined;
    return new CheckedTable(this.#view, fieldOffsets(this.#view, follow(this.#view, at)));
  }
}

/** The deepest nesting of tables, and so of a schema's fields. */
const MAX_DEPTH = 200;

/** The position of each field, or 0 if it is absent. */
function fieldOffsets(view: DataView, position: number): number[] {
  within(view, position, 4);
  const vtable = position - view.getInt32(position, true);
  within(view, vtable, 4);
  const size = view.getUint16(vtable, true);
  within(view, vtable, size);
  const offsets: number[] = [];
  // Read the table as readers do: entries are signed, and an odd size includes all of its last
  // entry.
  for (let at = vtable + 4; at < vtable + size; at += 2) {
    within(view, at, 2);
    const offset = view.getInt16(at, true);
    offsets.push(offset === 0 ? 0 : position + offset);
  }
  return offsets;
}

function follow(view: DataView, at: number): number {
  within(view, at, 4);
  return at + view.getUint32(at, true);
}

function vector(view: DataView, at: number, size: number): { start: number; length: number } {
  const start = follow(view, at);
  within(view, start, 4);
  const length = view.getUint32(start, true);
  within(view, start + 4, length * size);
  return { start: start + 4, length };
}

function within(view: DataView, at: number, length: number): void {
  if (at < 0 || at + length > view.byteLength) throw bad("an offset");
}

/**
 * A 64-bit integer, or -1 for a negative or unsafe one. It reads two halves: a BigInt takes several times
 * as long.
 */
export function safeLong(view: DataView, at: number): number {
  const high = view.getInt32(at + 4, true);
  return high >= 0 && high < 2 ** 21 ? high * 2 ** 32 + view.getUint32(at, true) : -1;
}

function bad(what: string): Error {
  return new Error(`its metadata are damaged: ${what}.`);
}
