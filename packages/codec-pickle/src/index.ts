export { Pickle, type PickleOptions } from "./pickle.js";
export { pickleCodec } from "./pickle-codec.js";
export { PyDateTime, PyTuple, pyTuple } from "./python-types.js";
