export { Arrow, type ArrowGetOptions, type ArrowOptions } from "./arrow.js";
export { type ArrowCodecOptions, arrowCodec, type UnknownColumns } from "./arrow-codec.js";
export { checkColumn } from "./check-columns.js";
