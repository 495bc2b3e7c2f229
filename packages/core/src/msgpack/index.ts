export { MsgPackDecoder } from "./decoder.js";
export { MsgPackEncoder } from "./encoder.js";
export { Ext, type Extension } from "./extension.js";
export type { MsgPackOptions } from "./options.js";
