export { Json } from "./json.js";
export { type JsonValue, jsonCodec } from "./json-codec.js";
