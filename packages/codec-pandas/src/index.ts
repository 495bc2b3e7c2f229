export type { CompressionOptions } from "./compression.js";
export { PandasBlocks, type PandasBlocksOptions, pandasBlocksCodec } from "./pandas-blocks.js";
export { PandasColumns, type PandasColumnsGetOptions } from "./pandas-columns.js";
