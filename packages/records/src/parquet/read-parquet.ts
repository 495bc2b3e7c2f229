import type { FileHandle } from "node:fs/promises";
import { isPartdError, PartdError } from "@partd/core";
import { checkOptionNames } from "@partd/core/author";
import type { AsyncBuffer } from "hyparquet";
import { ioError, openFile } from "../source/byte-reader.js";
import { inputsOf } from "../source/inputs.js";
import { damaged, loadPeer } from "../source/peer.js";

export interface ReadParquetOptions {
  /** The columns to read. Default all. */
  readonly columns?: readonly string[] | undefined;
  /**
   * Decompressors besides Snappy, which is built in: `hyparquet-compressors` has gzip, zstd, brotli
   * and LZ4.
   */
  readonly compressors?:
    | { readonly [codec: string]: (input: Uint8Array, outputLength: number) => Uint8Array }
    | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads rows of Parquet files with `hyparquet`, which the program installs. The columns of one row
 * group at a time are in memory. Streams cannot be read, because the format begins with its end.
 *
 * @throws `ERR_PARTD_CORRUPT` for bytes that are not Parquet; `ERR_PARTD_VALUE` without
 *   `hyparquet`.
 */
export async function* readParquet<R extends object = { [column: string]: unknown }>(
  source: string | URL | Iterable<string | URL> | AsyncIterable<string | URL>,
  options: ReadParquetOptions = {},
): AsyncGenerator<R> {
  checkOptionNames("readParquet", options, { columns: true, compressors: true, signal: true });
  const { columns, compressors, signal } = options;
  const hyparquet = await loadPeer("hyparquet", () => import("hyparquet"));
  for await (const { path } of inputsOf(source)) {
    if (path === undefined) {
      throw new PartdError(
        "ERR_PARTD_VALUE",
        "Parquet is read from paths: its index is at the end.",
      );
    }
    const handle = await openFile(path);
    try {
      const file = await asyncBuffer(path, handle);
      const metadata = await hyparquet.parquetMetadataAsync(file);
      const all = hyparquet.parquetSchema(metadata).children.map(({ element }) => element.name);
      const names = columns ? all.filter((name) => columns.includes(name)) : all;
      let rowStart = 0;
      for (const group of metadata.row_groups) {
        signal?.throwIfAborted();
        const rowEnd = rowStart + Number(group.num_rows);
        const cells = new Map<string, Column>();
        await hyparquet.parquetRead({
          file,
          metadata,
          rowStart,
          rowEnd,
          ...(columns && { columns: [...columns] }),
          ...(compressors && { compressors }),
          onChunk({ columnName, columnData }) {
            const column = cells.get(columnName);
            if (column) column.add(columnData);
            else cells.set(columnName, new Column(columnData));
          },
        });
        for (let row = rowStart; row < rowEnd; row++) {
          const record: { [column: string]: unknown } = {};
          for (const name of names) record[name] = cells.get(name)?.next();
          yield record as R;
        }
        rowStart = rowEnd;
      }
    } catch (cause) {
      if (signal?.aborted || isPartdError(cause)) throw cause;
      throw damaged(path, "Parquet", cause);
    } finally {
      await handle.close();
    }
  }
}

/**
 * A column's cells, in the pieces in which they were read: as rows they would take several times
 * the memory.
 */
class Column {
  readonly #pieces: ArrayLike<unknown>[];
  #piece = 0;
  #index = 0;

  constructor(piece: ArrayLike<unknown>) {
    this.#pieces = [piece];
  }

  add(piece: ArrayLike<unknown>): void {
    this.#pieces.push(piece);
  }

  next(): unknown {
    while (this.#index === this.#pieces[this.#piece]!.length) {
      this.#piece++;
      this.#index = 0;
    }
    return this.#pieces[this.#piece]![this.#index++];
  }
}

async function asyncBuffer(path: string, handle: FileHandle): Promise<AsyncBuffer> {
  const { size } = await handle.stat();
  return {
    byteLength: size,
    async slice(start, end = size) {
      const bytes = new Uint8Array(end - start);
      for (let filled = 0; filled < bytes.length; ) {
        const { bytesRead } = await handle
          .read(bytes, filled, bytes.length - filled, start + filled)
          .catch((cause: unknown) => {
            throw ioError(path, cause);
          });
        if (bytesRead === 0) throw new Error("it is cut short.");
        filled += bytesRead;
      }
      return bytes.buffer;
    },
  };
}
