import { isPartdError, type OperationOptions } from "@partd/core";
import { equal, ok, rejection } from "../check.js";
import { operations } from "./abort-cases.js";
import { bytes, collect, read, type StoreCase } from "./store-case.js";

export const optionCases: readonly StoreCase[] = [
  {
    name: "an operation refuses an option that it does not have, and suggests the nearest",
    run: async ({ store }) => {
      await store.append({ x: bytes("1") });
      const misspelt = { singal: new AbortController().signal } as OperationOptions;
      for (const [name, operation] of operations(store, misspelt)) {
        const error = await rejection(operation, `${name} with the option singal`);
        ok(
          isPartdError(error, "ERR_PARTD_VALUE") && /singal.* signal/.test(error.message),
          `${name} should refuse the option singal with ERR_PARTD_VALUE, naming signal, not with ${error} (checkOperation in @partd/core/author does that)`,
        );
      }
      equal(await collect(store.keys()), ["x"], "keys");
      equal(await read(store, "x"), "1", "x");
    },
  },
  {
    name: "an option that is undefined counts as not given, whatever its name",
    run: async ({ store }) => {
      for (const [, operation] of operations(store, { singal: undefined } as OperationOptions)) {
        await operation();
      }
      equal(await collect(store.keys()), [], "keys");
    },
  },
];
