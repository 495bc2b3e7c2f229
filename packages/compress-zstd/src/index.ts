export { Zstd, type ZstdOptions, zstdCodec } from "./zstd.js";
