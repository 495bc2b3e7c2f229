/**
 * Where in a value that a codec refuses the refused part stands, as in `[2].delay`: found by asking
 * of each part whether it is refused by itself, so that encoders need not keep track of where they
 * are. Empty for the value itself.
 *
 * @param isRefused whether the codec refuses this value alone.
 */
export function placeOf(value: unknown, isRefused: (part: unknown) => boolean): string {
  let place = "";
  for (let depth = 0; depth < MAX_STEPS; depth++) {
    const step = firstRefused(stepsInto(value), isRefused);
    if (step === undefined) return place;
    place += step[0];
    value = step[1];
  }
  return place;
}

/** What is nested deeper, or in itself, is refused for its depth: the beginning says enough. */
const MAX_STEPS = 20;

type Step = readonly [step: string, part: unknown];

function firstRefused(steps: Iterable<Step>, isRefused: (part: unknown) => boolean) {
  for (const step of steps) if (isRefused(step[1])) return step;
  return undefined;
}

function stepsInto(value: unknown): Iterable<Step> {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return [];
  if (Array.isArray(value)) return stepsIntoArray(value);
  if (value instanceof Map) {
    return [...value].flatMap(([key, part], i) => [
      [`.keys()[${i}]`, key] as const,
      [`.get(${nameOf(key)})`, part] as const,
    ]);
  }
  if (value instanceof Set) return [...value].map((part, i) => [`.values()[${i}]`, part] as const);
  return Object.entries(value).map(([name, part]) => [stepTo(name), part] as const);
}

/** The items that exist, then the first hole: an array may have 2^32 - 1 of those and little else. */
function* stepsIntoArray(array: readonly unknown[]): Generator<Step> {
  const names = Object.keys(array);
  for (const name of names) {
    const step = /^\d+$/.test(name) ? `[${name}]` : stepTo(name);
    yield [step, array[name as unknown as number]];
  }
  let hole = 0;
  while (names[hole] === String(hole)) hole++;
  if (hole < array.length) yield [`[${hole}]`, undefined];
}

function stepTo(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? `.${name}` : `[${JSON.stringify(name.slice(0, 60))}]`;
}

function nameOf(key: unknown): string {
  if (typeof key === "string") return JSON.stringify(key.slice(0, 60));
  return typeof key === "object" && key !== null
    ? (key.constructor?.name ?? "object")
    : String(key);
}
