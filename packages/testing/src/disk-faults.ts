export {
  type DiskFaultOptions,
  type DiskFaultReport,
  tryDiskFaults,
} from "./disk-faults/disk-faults.js";
export {
  type DiskOperation,
  diskOperations,
  unchanged,
  type Values,
} from "./disk-faults/operations.js";
