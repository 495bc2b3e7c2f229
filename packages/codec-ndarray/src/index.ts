export { DtypeArray, ndarray } from "./dtype-array.js";
export { NdArray, type NdArrayOptions } from "./ndarray.js";
export type { NdValue, NumericArray } from "./values.js";
