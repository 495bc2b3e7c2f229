export { Json, type JsonOptions, type JsonValue, jsonCodec } from "./json.js";
