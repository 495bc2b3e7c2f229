export { V8 } from "./v8.js";
export { v8Codec } from "./v8-codec.js";
