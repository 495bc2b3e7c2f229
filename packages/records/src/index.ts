export {
  type ArrowBatch,
  type ArrowRecords,
  type ReadArrowOptions,
  readArrow,
} from "./arrow/read-arrow.js";
export type { CsvOptions } from "./csv/csv-format.js";
export { type CsvRow, type ReadCsvOptions, readCsv, readTsv } from "./csv/read-csv.js";
export { parseInteger, parseKeyNumber } from "./json/json-number.js";
export { readJson, readNdjson } from "./json/read-json.js";
export { parseFieldPath, valueAt } from "./key/field-path.js";
export {
  DEEPEST_LIST,
  decodeGroupKey,
  decodeGroupKeys,
  encodeGroupKey,
  type GroupKey,
} from "./key/group-key.js";
export { hashKey, partitionOf } from "./key/hash.js";
export { type ReadParquetOptions, readParquet } from "./parquet/read-parquet.js";
export type {
  BatchOptions,
  ByteBatch,
  FormatDescription,
  KeyTotals,
  NumberTotals,
  OnReject,
  Partners,
  PartRecords,
  Position,
  RecordFormat,
  Records,
  RecordsPart,
  RecordsSplitOptions,
  RejectedRecord,
  Scan,
  Scanner,
  ScannerOptions,
  Scattered,
  Totals,
  ValueKind,
} from "./records.js";
export { VALUE_KIND } from "./records.js";
export { RecordError, type RecordErrorData } from "./scan/record-error.js";
export type { Source } from "./source/inputs.js";
export type { ReadOptions } from "./source/text-records.js";
export { openPart, splitFile } from "./source/text-records.js";
export type { ColumnType } from "./table/column-type.js";
export { type WriteTableOptions, writeArrow, writeParquet } from "./table/write-table.js";
export type { Writable, Written } from "./write/encode.js";
export type { Target } from "./write/target.js";
export {
  type WriteCsvOptions,
  type WriteOptions,
  writeCsv,
  writeJson,
  writeNdjson,
  writeTsv,
} from "./write/write-records.js";
