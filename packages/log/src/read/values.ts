import { allocateBytes } from "@partd/core/author";
import type { Segment } from "../data-set/segment.js";
import { planRead, type ReadPlan } from "./read-plan.js";
import { readRanges } from "./read-ranges.js";
import { Sweep } from "./sweep.js";

/** Reads one value a key, in the order of `keys`, which may repeat. Each has memory of its own. */
export async function valuesOf(
  segments: readonly Segment[],
  keys: readonly string[],
  signal: AbortSignal | undefined,
): Promise<Uint8Array[]> {
  const slots = new Map<string, number>();
  for (const key of keys) if (!slots.has(key)) slots.set(key, slots.size);
  const texts = [...slots.keys()];
  const plan = await planRead(segments, texts, signal, { maySweep: true });
  const values = await plannedValues(plan, texts, signal);
  if (texts.length === keys.length) return values;
  const given = new Set<number>();
  return keys.map((key) => {
    const slot = slots.get(key) as number;
    const value = values[slot] as Uint8Array;
    if (given.has(slot)) return value.slice();
    given.add(slot);
    return value;
  });
}

/** Reads the values of `keys`, which the plan is for. */
export async function plannedValues(
  plan: ReadPlan,
  keys: readonly string[],
  signal: AbortSignal | undefined,
): Promise<Uint8Array[]> {
  const values = keys.map((_, slot) => allocateBytes(plan.lengths[slot] as number));
  for (const part of plan.segments) await readRanges(part, values, keys, signal);
  if (plan.sweeps.length === 0) return values;
  const sweep = new Sweep(plan, values, keys);
  for (const part of plan.sweeps) await sweep.read(part, signal);
  return values;
}
