export { Pickle, type PickleCodecOptions, type PickleOptions, pickleCodec } from "./pickle.js";
export {
  PyByteArray,
  PyComplex,
  PyFrozenSet,
  PyRange,
  PySlice,
  PyTuple,
  pyTuple,
} from "./python/builtins.js";
export { PyArray, PyCounter, PyDefaultDict, PyDeque, PyOrderedDict } from "./python/collections.js";
export {
  PyDate,
  PyDateTime,
  type PyDateTimeFields,
  PyTime,
  PyTimeDelta,
  PyTimeZone,
} from "./python/datetime.js";
export { PyDtype, PyNdArray, PyScalar } from "./python/numpy.js";
export { PyGlobal, PyObject } from "./python/object.js";
export { PyDecimal, PyFraction, PyPath, PyUuid } from "./python/scalars.js";
