export { Ext, type Extension, type MsgPackFormatOptions } from "./format.js";
export { MsgPack, type MsgPackOptions, msgPackCodec } from "./msgpack.js";
