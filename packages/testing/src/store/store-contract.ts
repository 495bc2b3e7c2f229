import type { ContractCase, OpenStore } from "../contract.js";
import { abortCases } from "./abort-cases.js";
import { appendCases } from "./append-cases.js";
import { changedBufferCases } from "./changed-buffer-cases.js";
import { keyCases } from "./key-cases.js";
import { lifecycleCases } from "./lifecycle-cases.js";
import { listingCases } from "./listing-cases.js";
import { lockCases } from "./lock-cases.js";
import { storeProperty } from "./model.js";
import { optionCases } from "./option-cases.js";
import { readCases } from "./read-cases.js";
import { scaleCases } from "./scale-cases.js";
import { bindStoreCase, type StoreContractOptions } from "./store-case.js";
import { streamCases } from "./stream-cases.js";

/**
 * Everything that `Store` promises, as cases for any test runner.
 *
 * @example for (const { name, run } of storeContract(() => new Dict())) test(name, run);
 *
 * @param open makes a store over the given data set.
 * @param options what the store can do beyond the contract.
 */
export function storeContract(open: OpenStore, options: StoreContractOptions = {}): ContractCase[] {
  const cases = [
    ...appendCases,
    ...changedBufferCases,
    ...readCases,
    ...streamCases,
    ...keyCases,
    ...listingCases,
    ...lockCases,
    ...lifecycleCases,
    ...abortCases,
    ...optionCases,
    ...scaleCases,
  ];
  return [
    ...cases
      .filter(({ when }) => when === undefined || when(options))
      .map((one) => bindStoreCase(one, (one.broken && options.openBroken) || open, options)),
    storeProperty(open, options),
  ];
}
