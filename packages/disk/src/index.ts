export { crc32 } from "./crc32.js";
export {
  isToken,
  type ProcessState,
  pidOf,
  processToken,
  stateOf,
  uniqueToken,
} from "./process-token.js";
export { TemporaryDirectory } from "./temporary-directory.js";
