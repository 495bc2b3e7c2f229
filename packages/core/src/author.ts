// What authors of stores, decorators and codecs import.

export { checkOptions, onAbort, unlessAborted } from "./async/abort.js";
export { Gate } from "./async/gate.js";
export { type BetweenItems, ItemIterator } from "./async/item-iterator.js";
export { Pace } from "./async/pace.js";
export { Semaphore } from "./async/semaphore.js";
export { WaitQueue } from "./async/wait-queue.js";
export { brandOf } from "./codec/brand.js";
export {
  COMPRESSOR_OPTIONS,
  type Compressor,
  type CompressorOptions,
  checkDecodedSize,
  checkIntegerOption,
  compressLater,
  compressorCodec,
  needWebAssembly,
} from "./codec/compressor.js";
export { ENCODE_OPTIONS } from "./codec/encode.js";
export {
  allocateEncoded,
  behindHeadroom,
  copyEncoded,
  FRAME_HEADER,
  type Frame,
  frame,
  splitFrames,
  streamFrames,
} from "./codec/frame.js";
export { knownFormat } from "./codec/known-formats.js";
export { hasFields, hasItemsAlone, joinLists } from "./codec/lists.js";
export { placeOf } from "./codec/place.js";
export { recordOf, setField } from "./codec/record.js";
export { ShortTexts } from "./codec/short-texts.js";
export { hasViewFields } from "./codec/view-fields.js";
export { copyTree, flattenKeys, listKeys, nestValues } from "./keys/key-tree.js";
export { describeKey, keptText, sameKey, suffixKey } from "./keys/keys.js";

export { allocateBytes, concatBytes, memoryFor, ownBytes, releaseBytes } from "./memory/bytes.js";
export { LastUsed } from "./memory/last-used.js";
export { byteLengthOf, classOf, lengthOf, viewOf } from "./memory/typed-array.js";
export {
  checkOptionNames,
  describeArgument,
  nearest,
  type OptionNames,
  takeOptions,
} from "./option-names.js";
export { BaseStore } from "./store/base-store.js";
export {
  type Batch,
  BatchEntries,
  changedMeanwhile,
  changeOf,
  checkIntact,
  entriesOf,
  isBytes,
  isLost,
  LOST_BYTES,
  takeBytes,
  toBatch,
} from "./store/batch.js";
export { checkByteStore, Decorator } from "./store/decorator.js";
export { checkCritical, checkNotHeld, runHolding } from "./store/held-locks.js";
export {
  byteEntries,
  countKeys,
  entriesByKey,
  prefixText,
  selectKeys,
  sizesOf,
  streamedSize,
} from "./store/listing.js";
export { checkOperation } from "./store/operation-options.js";
export type { EntryOrBatch, ExclusivePurpose, Primitives } from "./store/primitives.js";
export type { AppendOptions, GetOptions, IsetOptions, LowerStore } from "./store/store.js";
export { threadOptions } from "./thread-options.js";
