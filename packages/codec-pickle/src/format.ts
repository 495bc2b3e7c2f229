// Single pickles of any value, for codecs that are built on this one.

export { equalKeys } from "./equal-keys.js";
export { PyFloat } from "./known-types.js";
export { Pickler } from "./pickler.js";
export { Unpickler } from "./unpickler.js";
