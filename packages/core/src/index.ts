export { onAbort, unlessAborted } from "./abort.js";
export { BaseStore } from "./base-store.js";
export { type Batch, BatchEntries, checkBytes, entriesOf, isBytes, toBatch } from "./batch.js";
export { Blocks, isSpillable, type Loan, type Spillable, type Value } from "./blocks.js";
export { allocateBytes, concatBytes, memoryFor } from "./bytes.js";
export type { Codec } from "./codec.js";
export {
  type Compressor,
  type CompressorOptions,
  checkDecodedSize,
  checkIntegerOption,
  compressorCodec,
} from "./compressor.js";
export { Dict } from "./dict.js";
export { EmbeddedWasm, type WasmExports, wasmAllocate, wasmBytes } from "./embedded-wasm.js";
export { Encode, type EncodeOptions } from "./encode.js";
export {
  isPartdError,
  PartdError,
  type PartdErrorCode,
  type PartdErrorContext,
} from "./errors.js";
export { FRAME_HEADER, type Frame, frame, splitFrames, streamFrames } from "./frame.js";
export { Gate } from "./gate.js";
export { copyTree, flattenKeys, nestValues } from "./key-tree.js";
export {
  decodeKey,
  describeKey,
  encodeKey,
  isTuple,
  type Key,
  type KeyTree,
  sameKey,
  suffixKey,
  Tuple,
  tuple,
} from "./keys.js";
export { joinLists } from "./lists.js";
export { Pace } from "./pace.js";
export type {
  AppendOptions,
  Entries,
  GetOptions,
  IsetOptions,
  OperationOptions,
  Store,
  Values,
  ValueTree,
} from "./store.js";
