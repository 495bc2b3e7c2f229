export { BZ2, type BZ2Options, bz2Codec } from "./bz2.js";
