export { Gzip, gzipCodec, ZLib, type ZLibOptions, zlibCodec } from "./zlib.js";
