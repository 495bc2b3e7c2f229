import type { Column } from "@partd/records/author";

/** Rows of a table as lines of NDJSON, some at a time. */
export interface TableReader {
  readonly columns: readonly Column[];
  pieces(): AsyncIterable<TablePiece>;
  close(): Promise<void>;
}

/** Some rows, as whole lines. */
export interface TablePiece {
  readonly lines: string;
  /** The number of lines. */
  readonly count: number;
  /**
   * Bytes of the table that are read with these lines; proportional to rows if the table is not read
   * from its beginning.
   */
  readonly bytesRead: number;
}

/** Opens a table at a path. Reads only the requested columns, if all of them exist. */
export type OpenTable = (
  path: string,
  asked: readonly string[] | undefined,
) => Promise<TableReader>;

/**
 * The rows of tables, one table after the other, as NDJSON. One piece at a time is in memory. It also
 * maps a line number to the row of its table.
 */
export class TableLines implements AsyncIterable<Uint8Array> {
  readonly #paths: readonly string[];
  readonly #open: OpenTable;
  readonly #asked: readonly string[] | undefined;
  readonly #starts: { readonly path: string; readonly line: number }[] = [];
  #columns: readonly Column[] = [];
  #bytesRead = 0;

  constructor(paths: readonly string[], open: OpenTable, asked: readonly string[] | undefined) {
    this.#paths = paths;
    this.#open = open;
    this.#asked = asked;
  }

  /** The columns of the first table, once it was opened. */
  get columns(): readonly Column[] {
    return this.#columns;
  }

  /** Bytes of the tables so far. */
  get bytesRead(): number {
    return this.#bytesRead;
  }

  /** The table and the row, counted from 1, that became a line. */
  placeOf(line: number): { readonly path: string; readonly row: number } {
    const start = this.#starts.findLast((one) => one.line <= line);
    return { path: start?.path ?? "", row: line - (start?.line ?? 1) + 1 };
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    let line = 1;
    for (const path of this.#paths) {
      const table = await this.#open(path, this.#asked);
      this.#starts.push({ path, line });
      if (this.#starts.length === 1) this.#columns = table.columns;
      const before = this.#bytesRead;
      try {
        for await (const { lines, count, bytesRead } of table.pieces()) {
          line += count;
          this.#bytesRead = before + bytesRead;
          yield Buffer.from(lines);
        }
      } finally {
        await table.close();
      }
    }
  }
}

/** Returns a function that makes a line of a row: the values of its columns as JSON. */
export function lineMaker(
  columns: readonly { readonly name: string; readonly json: (row: number) => string }[],
): (row: number) => string {
  const starts = columns.map(({ name }, i) => `${i === 0 ? "{" : ","}${JSON.stringify(name)}:`);
  return (row) => {
    let line = columns.length === 0 ? "{" : "";
    for (let i = 0; i < columns.length; i++) line += starts[i] + columns[i]!.json(row);
    return `${line}}\n`;
  };
}

/**
 * Yields the lines of `count` rows, in pieces of some 64 Ki characters.
 *
 * @param bytesRead returns how many bytes of the table are read with the first `n` of these rows.
 */
export function* piecesOf(
  count: number,
  lineOf: (row: number) => string,
  bytesRead: (rows: number) => number,
): Generator<TablePiece> {
  let lines = "";
  let from = 0;
  for (let row = 0; row < count; row++) {
    lines += lineOf(row);
    if (lines.length < PIECE && row + 1 < count) continue;
    yield { lines, count: row + 1 - from, bytesRead: bytesRead(row + 1) };
    lines = "";
    from = row + 1;
  }
}

/** In characters. */
const PIECE = 1 << 16;
