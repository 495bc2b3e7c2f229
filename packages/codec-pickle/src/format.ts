// Single pickles of any value, for codecs that build on this one.

export { equalKeys } from "./dict-keys.js";
export { isPickle, Pickler, Unpickler } from "./pickle.js";
export { PyFloat } from "./python/object.js";
export { isPythonValue } from "./reduction.js";
