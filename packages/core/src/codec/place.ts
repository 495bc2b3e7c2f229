/**
 * Finds the part of a value that a codec refuses, and returns the path to it, as in `[2].delay`;
 * empty for the value itself. It tries each part by itself, so that encoders need not track their
 * position.
 *
 * @param isRefused whether the codec refuses this value alone.
 */
export function placeOf(value: unknown, isRefused: (part: unknown) => boolean): string {
  let place = "";
  const enclosing: unknown[] = [];
  while (enclosing.push(value) <= MAX_STEPS) {
    const step = firstRefused(value, isRefused);
    if (step === undefined || enclosing.includes(step[1])) return place;
    place += step[0];
    value = step[1];
  }
  return place;
}

/** A part nested deeper is refused for its depth: the beginning of the path is enough. */
const MAX_STEPS = 20;

type Step = readonly [step: string, part: unknown];

function firstRefused(value: unknown, isRefused: (part: unknown) => boolean): Step | undefined {
  try {
    for (const step of stepsInto(value)) {
      if (step[1] === UNREADABLE || isRefused(step[1])) return step;
    }
  } catch {
    // The parts cannot be listed, for example those of a revoked proxy.
  }
  return undefined;
}

/** Stands for a part whose getter throws. */
const UNREADABLE = Symbol("unreadable");

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
  return Object.keys(value).map((name) => [stepTo(name), read(value, name)] as const);
}

/** Yields the items that exist, then the first hole: an array may have up to 2^32 - 1 holes. */
function* stepsIntoArray(array: readonly unknown[]): Generator<Step> {
  const names = Object.keys(array);
  for (const name of names) {
    yield [/^\d+$/.test(name) ? `[${name}]` : stepTo(name), read(array, name)];
  }
  let hole = 0;
  while (names[hole] === String(hole)) hole++;
  if (hole < array.length) yield [`[${hole}]`, undefined];
}

function read(object: object, name: string): unknown {
  try {
    return (object as Record<string, unknown>)[name];
  } catch {
    return UNREADABLE;
  }
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
