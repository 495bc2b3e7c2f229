export { MsgPackDecoder } from "./format/decoder.js";
export { MsgPackEncoder } from "./format/encoder.js";
export { Ext, type Extension } from "./format/extension.js";
export type { MsgPackFormatOptions } from "./format/options.js";
