export { Blosc, type BloscOptions, bloscCodec } from "./blosc.js";
