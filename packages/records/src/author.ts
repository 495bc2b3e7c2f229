// For programs that read and write records themselves, as @partd/cli does.
export { lineOf, type Member, membersOf, rawValue, withoutMembers } from "./json/json-members.js";
export type { Column, ColumnType, TypedColumn } from "./table/column-type.js";
export type { EncodeTable, TableRows } from "./table/table-rows.js";

/** Loads what writes tables, which takes a while to start. */
export const loadTables = () => import("./table/table-file.js");
