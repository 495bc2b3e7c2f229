// What programs import: the store, its keys, its errors, and codecs around it.

export type { Codec } from "./codec/codec.js";
export { Encode, type EncodeOptions } from "./codec/encode.js";
export {
  isPartdError,
  PartdError,
  type PartdErrorCode,
  type PartdErrorContext,
} from "./errors.js";
export {
  decodeKey,
  encodeKey,
  isTuple,
  type Key,
  type KeyTree,
  Tuple,
  tuple,
} from "./keys/keys.js";
export { deserializeError, type SerializedError, serializeError } from "./serialized-error.js";
export { Dict } from "./store/dict.js";
export type {
  Entries,
  EntriesOptions,
  KeysOptions,
  OperationOptions,
  Store,
  Values,
  ValueTree,
} from "./store/store.js";
