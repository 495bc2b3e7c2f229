export { ContractError } from "./check.js";
export type { CodecContractOptions } from "./codec-case.js";
export { codecContract } from "./codec-contract.js";
export type { ContractCase, DataSet, OpenStore } from "./contract.js";
export { hostileKeys } from "./key-cases.js";
export { storeProperty } from "./model.js";
export { appendUntilMoved } from "./moved.js";
export type { StoreContractOptions } from "./store-case.js";
export { storeContract } from "./store-contract.js";
