export { Ext, type Extension, type MsgPackOptions } from "@partd/core/msgpack";
export { MsgPack } from "./msgpack.js";
export { msgPackCodec } from "./msgpack-codec.js";
