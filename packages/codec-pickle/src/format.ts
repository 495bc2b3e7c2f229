// Single pickles of any value, for codecs that build on this one.

export { equalKeys } from "./equal-keys.js";
export { Pickler } from "./pickler.js";
export { isPythonValue } from "./python/known.js";
export { PyFloat } from "./python/object.js";
export { isPickle, Unpickler } from "./unpickler.js";
