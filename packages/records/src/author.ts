// For programs that read and write records themselves, as @partd/cli does.
import { type ArrowBatch, batchesOf, type ReadArrowOptions } from "./arrow/read-arrow.js";
import type { Source } from "./source/inputs.js";

export { columnNames } from "./csv/csv-format.js";
export { lineOf, type Member, membersOf, rawValue, withoutMembers } from "./json/json-members.js";
export type { Column, ColumnType, TypedColumn } from "./table/column-type.js";
export type { EncodeTable, TableRows } from "./table/table-rows.js";

/**
 * Reads the record batches of Arrow IPC, as `readArrow` does, and states with each how many bytes of
 * its input have been read. An input without records has one batch, which has no rows.
 */
export const arrowBatches: (
  source: Source,
  options: ReadArrowOptions,
) => AsyncGenerator<{ readonly batch: ArrowBatch; readonly bytesRead: number }> = batchesOf;

/** Loads the writers of tables, which takes a while. */
export const loadTables = () => import("./table/table-file.js");
