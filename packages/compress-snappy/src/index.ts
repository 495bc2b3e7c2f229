export { Snappy, snappyCodec } from "./snappy.js";
