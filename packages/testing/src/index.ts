export { ContractError } from "./check.js";
export type { CodecContractOptions } from "./codec/codec-case.js";
export { codecContract } from "./codec/codec-contract.js";
export type { ContractCase, DataSet, OpenStore } from "./contract.js";
export { hostileKeys } from "./store/key-cases.js";
export { storeProperty } from "./store/model.js";
export { appendUntilMoved } from "./store/moved.js";
export type { StoreContractOptions } from "./store/store-case.js";
export { storeContract } from "./store/store-contract.js";
