export { V8, v8Codec } from "./v8.js";
