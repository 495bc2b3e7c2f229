export { LZ4, type LZ4Options, lz4Codec } from "./lz4.js";
