import { PartdError } from "@partd/core";
import type { ByteBatch, Scan, Scanner } from "../records.js";
import { PlainScanner } from "./plain-scanner.js";
import type { RecordMatcher, ScanPlan, WasmSyntax } from "./record-matcher.js";
import { ScanMemory } from "./wasm-memory.js";
import { WasmScanner } from "./wasm-scanner.js";

/** The fastest scanner for these fields, for batches of any size. */
export function openScanner(syntax: WasmSyntax, matcher: RecordMatcher, plan: ScanPlan): Scanner {
  if (plan.keys + plan.values > 32) {
    throw new PartdError("ERR_PARTD_VALUE", "A scanner finds at most 32 fields.");
  }
  const wasm = WasmScanner.create(syntax, matcher, plan);
  const plain = new PlainScanner(matcher, plan);
  return {
    scan(batch: ByteBatch): Scan {
      return wasm && batch.bytes.length <= ScanMemory.MOST_BYTES
        ? wasm.scan(batch)
        : plain.scan(batch);
    },
    totals: wasm?.totals,
    partners: wasm?.partners,
  };
}
