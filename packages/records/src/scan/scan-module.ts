import type { PartnersExports } from "./partners-memory.js";
import { WASM } from "./scan-wasm.js";
import type { TotalsExports } from "./totals-memory.js";

/** The functions of `scan.c`. Addresses and lengths are in bytes. */
export interface ScanExports extends TotalsExports, PartnersExports {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  state(): number;
  heap(): number;
  setName(field: number, depth: number, name: number, length: number): void;
  setColumn(field: number, column: number): void;
  survey(start: number, end: number): number;
  scanJson(): number;
  scanCsv(): number;
  addKey(length: number, isMissing: number): void;
  keep(length: number): void;
  assign(partitions: number, assignment: number): void;
  scatter(
    partitions: number,
    assignment: number,
    offsets: number,
    counts: number,
    next: number,
    out: number,
  ): void;
  addToTotals(numbers: number): number;
}

/** `null` if this runtime has no WebAssembly, or none with SIMD. */
let module: WebAssembly.Module | null | undefined;

export function compiledModule(): WebAssembly.Module | null {
  if (module === undefined) {
    try {
      module = new WebAssembly.Module(Uint8Array.from(atob(WASM), (c) => c.charCodeAt(0)));
    } catch {
      module = null;
    }
  }
  return module;
}
