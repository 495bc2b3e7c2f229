import { isPartdError } from "@partd/core";
import { frame } from "@partd/core/author";
import fc from "fast-check";
import { fail, show } from "./check.js";
import { type CodecSubject, withCodec } from "./codec-case.js";
import type { ContractCase } from "./contract.js";
import { collect } from "./store-case.js";

/** Properties of all values that the codec carries, and of all bytes that it does not. */
export function codecProperties<V>(subject: CodecSubject<V>): ContractCase[] {
  const { arbitrary, seed, framed } = subject.options;
  const settings = {
    numRuns: subject.options.numRuns ?? 50,
    ...(seed === undefined ? {} : { seed }),
  };
  const cases: ContractCase[] = [
    {
      name: "random bytes decode or are refused, and nothing worse",
      run: () =>
        fc.assert(
          fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), (bytes) =>
            withCodec(subject, async ({ store, lower }) => {
              await lower.append({ x: framed === false ? bytes : frame(bytes) });
              try {
                await store.get("x");
              } catch (error) {
                if (isPartdError(error) && error.key === "x") return;
                fail(`expected a PartdError that names the key, got ${show(error)}`, error);
              }
            }),
          ),
          settings,
        ),
    },
  ];
  if (arbitrary === undefined) return cases;
  const batches = fc.array(
    fc.array(fc.tuple(fc.constantFrom("a", "b", "c"), arbitrary), { maxLength: 5 }),
    { maxLength: 5 },
  );
  cases.push({
    name: "random values read back as what their batches join to",
    run: () =>
      fc.assert(
        fc.asyncProperty(batches, (data) =>
          withCodec(subject, async ({ store, join, same }) => {
            for (const batch of data) await store.append(batch);
            for (const key of ["a", "b", "c"]) {
              const appended = data
                .flat()
                .flatMap(([name, value]) => (name === key ? [value] : []));
              const expected = join(appended);
              same(await store.get(key), expected, `${key}, got`);
              same(join(await collect(store.stream(key))), expected, `${key}, streamed`);
            }
          }),
        ),
        settings,
      ),
  });
  return cases;
}
