export { Ext, type Extension, type MsgPackOptions } from "./format.js";
export { MsgPack } from "./msgpack.js";
export { msgPackCodec } from "./msgpack-codec.js";
