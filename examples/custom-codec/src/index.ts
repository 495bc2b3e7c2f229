export { Brotli, type BrotliOptions, brotliCodec } from "./brotli.js";
