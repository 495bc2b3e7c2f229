import { isPartdError, type PartdErrorCode } from "@partd/core";
import { FRAME_HEADER, frame, splitFrames } from "@partd/core/author";
import { equal, fail, ok, rejection, show } from "../check.js";
import { collect } from "../store/store-case.js";
import { type CodecCase, type CodecSession, snapshot } from "./codec-case.js";

export function damageCases<V>(): CodecCase<V>[] {
  return [
    {
      name: "a value cut off within a frame is ERR_PARTD_CORRUPT, wherever it is cut",
      when: ({ framed }) => framed !== false,
      run: async ({ store, lower, fresh, samples, join, same }) => {
        const values = [...samples, ...samples].slice(0, 4);
        for (const value of values) await store.append({ x: value });
        const whole = await lower.get("x");
        const starts = splitFrames(whole, "x").map(({ offset }) => offset);
        for (const cut of cuts(whole.byteLength)) {
          const damaged = fresh();
          await damaged.lower.append({ x: whole.subarray(0, cut) });
          if (starts.includes(cut)) {
            const expected = join(values.slice(0, starts.indexOf(cut)));
            same(await damaged.store.get("x"), expected, `cut at ${cut}, between frames`);
            continue;
          }
          const offset = starts.findLast((start) => start < cut) as number;
          await corrupt(damaged, offset, "ERR_PARTD_CORRUPT", `cut at ${cut}`);
        }
      },
    },
    {
      name: "a frame that says it is longer than anything could be is ERR_PARTD_CORRUPT",
      when: ({ framed }) => framed !== false,
      run: async ({ store, lower, fresh, samples }) => {
        await store.append({ x: samples[0] as V });
        const whole = await lower.get("x");
        for (const byte of [3, 4, 5, 6, 7]) {
          const damaged = fresh();
          const huge = whole.slice();
          huge[byte] = 0xff;
          await damaged.lower.append({ x: whole });
          await damaged.lower.append({ x: huge });
          await corrupt(damaged, whole.byteLength, "ERR_PARTD_CORRUPT", `length byte ${byte}`);
        }
      },
    },
    {
      name: "bytes of another format are ERR_PARTD_CORRUPT, naming key and offset",
      when: ({ badBytes }) => (badBytes?.length ?? 0) > 0,
      run: async (session) => {
        await foreign(session, session.options.badBytes ?? [], "ERR_PARTD_CORRUPT");
      },
    },
    {
      name: "bytes that are not safe to decode are ERR_PARTD_CODEC, naming key and offset",
      when: ({ refusedBytes }) => (refusedBytes?.length ?? 0) > 0,
      run: async (session) => {
        await foreign(session, session.options.refusedBytes ?? [], "ERR_PARTD_CODEC");
      },
    },
    {
      name: "frames with a byte changed, missing or added decode or are refused, and nothing worse",
      run: async ({ store, lower, fresh, samples, options }) => {
        for (const sample of samples) {
          await store.append({ x: sample });
          const [first] = options.framed === false ? [] : splitFrames(await lower.pop("x"), "x");
          const content = first?.bytes ?? (await lower.pop("x"));
          for (const at of cuts(content.byteLength, 24)) {
            const flipped = content.slice();
            if (at < flipped.length) flipped[at] = (flipped[at] as number) ^ (1 << (at % 8));
            const variants = [flipped, content.subarray(0, at), content.subarray(at)];
            const added = new Uint8Array(content.byteLength + 1);
            added.set(content);
            variants.push(added);
            for (const variant of variants) {
              const damaged = fresh();
              const raw = options.framed === false ? variant : frame(variant);
              await damaged.lower.append({ x: raw });
              await valueOrError(damaged, `byte ${at}`);
            }
          }
        }
      },
    },
  ];
}

/**
 * Checks that frames of `contents`, after a good one, fail with `code`, and that good ones still
 * read.
 */
async function foreign<V>(
  { fresh, samples, join, same, options }: CodecSession<V>,
  contents: readonly Uint8Array[],
  code: PartdErrorCode,
): Promise<void> {
  const [sample] = samples as readonly [V];
  for (const [i, content] of contents.entries()) {
    const damaged = fresh();
    await damaged.store.append({ x: sample, good: sample });
    const offset = (await damaged.lower.get("x")).byteLength;
    await damaged.lower.append({ x: options.framed === false ? content : frame(content) });
    await damaged.store.append({ x: sample });
    await corrupt(damaged, options.framed === false ? undefined : offset, code, `bytes ${i}`);
    same(await damaged.store.get("good"), join([sample]), "a good key beside it");
  }
}

/**
 * Checks that every way of reading `x` fails and names key and offset, and that pop deletes
 * nothing.
 */
async function corrupt<V>(
  { store, lower }: Pick<CodecSession<V>, "store" | "lower">,
  offset: number | undefined,
  code: PartdErrorCode,
  what: string,
): Promise<void> {
  const before = await snapshot(lower);
  const reads = {
    get: () => store.get("x"),
    stream: () => collect(store.stream("x")),
    pop: () => store.pop(["good", "x"]),
  };
  for (const [name, read] of Object.entries(reads)) {
    const error = await rejection(read, `${name}, ${what}`);
    if (!isPartdError(error, code)) fail(`${name}, ${what}: expected ${code}, got ${show(error)}`);
    equal(error.key, "x", `the error's key, ${name}, ${what}`);
    if (offset !== undefined) equal(error.offset, offset, `the error's offset, ${name}, ${what}`);
  }
  equal(await snapshot(lower), before, `the store after a pop that failed, ${what}`);
}

/**
 * Damage may go unnoticed in a format without a checksum; damage that is noticed must be reported
 * properly.
 */
async function valueOrError<V>(
  { store }: Pick<CodecSession<V>, "store">,
  what: string,
): Promise<void> {
  try {
    await store.get("x");
  } catch (error) {
    if (!isPartdError(error)) fail(`${what}: expected a PartdError, got ${show(error)}`, error);
    const { code, key } = error;
    ok(code === "ERR_PARTD_CORRUPT" || code === "ERR_PARTD_CODEC", `${what}: code ${code}`);
    equal(key, "x", `${what}: the error's key`);
  }
}

/** Every place to cut a short value; for a long one the headers, the end, and some in between. */
function cuts(byteLength: number, count = 100): number[] {
  const places = new Set<number>();
  const step = Math.max(1, byteLength / count);
  for (let place = 1; place < byteLength; place += step) places.add(Math.floor(place));
  for (let i = 1; i <= 2 * FRAME_HEADER; i++) {
    if (i < byteLength) places.add(i).add(byteLength - i);
  }
  return [...places];
}
