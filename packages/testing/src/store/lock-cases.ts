import type { Store } from "@partd/core";
import { equal, ok, rejection, rejects } from "../check.js";
import {
  anotherCaller,
  bytes,
  collect,
  read,
  readStream,
  type StoreCase,
  text,
  turns,
} from "./store-case.js";

const shared = ({ shared }: { readonly shared?: boolean | undefined }) => shared;

export const lockCases: readonly StoreCase[] = [
  {
    name: "withLock gives a store with every operation, and answers with what critical answers",
    run: async ({ store }) => {
      await store.append({ x: bytes("1"), y: bytes("2") });
      const answer = await store.withLock(async (held) => {
        await held.append({ x: bytes("+") });
        equal(await read(held, "x"), "1+", "x");
        equal(await readStream(held, "x"), "1+", "x, streamed");
        equal((await collect(held.keys())).sort(), ["x", "y"], "keys");
        equal(text(await held.pop("y")), "2", "y");
        await held.iset("z", bytes("3"));
        await held.flush();
        await held.delete("z");
        await held.append({ z: bytes("4") });
        return "answer";
      });
      equal(answer, "answer", "the answer of withLock");
      equal(await store.get(["x", "y", "z"]), [bytes("1+"), bytes(""), bytes("4")], "x, y, z");
      await store.withLock((held) => held.drop());
      equal(await collect(store.keys()), [], "keys after drop");
    },
  },
  {
    name: "iset inside and outside of withLock is one and the same",
    run: async ({ store }) => {
      await store.iset("x", bytes("1"));
      await store.withLock(async (held) => {
        await held.iset("x", bytes("never"));
        await held.iset("y", bytes("2"));
      });
      await store.iset("y", bytes("never"));
      equal(await store.get(["x", "y"]), [bytes("1"), bytes("2")], "x, y");
    },
  },
  {
    name: "other calls wait for the end of withLock",
    run: async ({ store }) => {
      await excludes(store, store);
    },
  },
  {
    name: "withLock keeps another store of the same data set out",
    when: shared,
    run: async ({ store, open }) => {
      await excludes(store, await open());
    },
  },
  {
    name: "a call on the outer store inside its own withLock is refused, and does not wait for ever",
    run: async ({ store }) => {
      await store.withLock(async (held) => {
        for (const call of [
          (): Promise<unknown> => store.append({ x: bytes("1") }),
          () => store.get("x"),
          () => store.delete("x"),
          () => store.withLock(() => {}),
          () => store.close(),
        ]) {
          await rejects(call, "ERR_PARTD_LOCK", "a call on the outer store");
        }
        await held.append({ x: bytes("2") });
      });
      const outside = store.append({ x: bytes("3") });
      await outside;
      equal(await read(store, "x"), "23", "x");
    },
  },
  {
    name: "withLock waits for calls that are under way, and for another withLock",
    run: async ({ store }) => {
      const steps: string[] = [];
      const first = store.withLock(async (held) => {
        steps.push("first");
        await held.append({ x: bytes("1") });
        await turns();
        steps.push("end of first");
      });
      const second = store.withLock(async (held) => {
        steps.push("second");
        equal(await read(held, "x"), "1", "x");
        await held.append({ x: bytes("2") });
      });
      await Promise.all([first, second]);
      equal(steps, ["first", "end of first", "second"], "the order of steps");
      equal(await read(store, "x"), "12", "x");
    },
  },
  {
    name: "reading, changing and writing under withLock loses no update",
    run: async ({ store, options, open }) => {
      const stores = [store, options.shared ? await open() : store];
      await Promise.all(
        Array.from({ length: 20 }, (_, i) =>
          (stores[i % 2] as Store).withLock(async (held) => {
            const count = Number(text(await held.pop("count")));
            await held.append({ count: bytes(String(count + 1)) });
          }),
        ),
      );
      equal(await read(store, "count"), "20", "count");
    },
  },
  {
    name: "a failing critical rejects withLock with its own error, and the lock is released",
    run: async ({ store }) => {
      const reason = new Error("from critical");
      const error = await rejection(
        () =>
          store.withLock(async (held) => {
            await held.append({ x: bytes("1") });
            throw reason;
          }),
        "withLock",
      );
      ok(error === reason, "withLock should reject with critical's own error");
      const thrown = await rejection(
        () =>
          store.withLock(() => {
            throw reason;
          }),
        "withLock",
      );
      ok(thrown === reason, "withLock should reject with what critical throws at once");
      for (const odd of [undefined, null, 0, "text"]) {
        const passed = await rejection(() => store.withLock(() => Promise.reject(odd)), "withLock");
        ok(passed === odd, `withLock should reject with ${String(odd)}, not ${String(passed)}`);
      }
      await store.append({ x: bytes("2") });
      equal(await read(store, "x"), "12", "x: what critical appended before it failed stays");
    },
  },
  {
    name: "what critical began and did not await is done before the lock is released",
    run: async ({ store }) => {
      await store.append({ z: bytes("3") });
      let begun: Promise<unknown>[] = [];
      let next: Promise<Uint8Array[]> | undefined;
      const another = anotherCaller();
      await store.withLock((held) => {
        begun = [
          held.append({ x: bytes("1") }),
          held.withLock((inner) => inner.append({ y: bytes("2") })),
          held.delete("z"),
        ];
        next = another(() => store.pop(["x", "y", "z"]));
        for (const call of [...begun, next]) call.catch(() => {}); // Awaited below.
      });
      await Promise.all(begun);
      equal((await next!).map(text), ["1", "2", ""], "what the next call found");
    },
  },
  {
    name: "the store that withLock passes is closed when critical is over",
    run: async ({ store }) => {
      let kept: Store | undefined;
      await store.withLock((held) => {
        kept = held;
      });
      await rejects(() => kept!.append({ x: bytes("1") }), "ERR_PARTD_CLOSED", "append");
      await rejects(() => kept!.get("x"), "ERR_PARTD_CLOSED", "get");
      await store.append({ x: bytes("2") });
      equal(await read(store, "x"), "2", "x");
    },
  },
  {
    name: "withLock on the store that withLock passed runs at once",
    run: async ({ store }) => {
      await store.withLock((outer) =>
        outer.withLock(async (inner) => {
          await inner.append({ x: bytes("1") });
          equal(await read(inner, "x"), "1", "x");
        }),
      );
      equal(await read(store, "x"), "1", "x");
    },
  },
];

async function excludes(holder: Store, other: Store): Promise<void> {
  await holder.append({ x: bytes("1") });
  await other.get("x");
  let waiting: Promise<unknown>[] = [];
  let over = false;
  const another = anotherCaller();
  await holder.withLock(async (held) => {
    const mustWait = async (call: Promise<unknown>) => {
      await call;
      ok(over, "a call on the outer store was done before critical was");
    };
    waiting = another(() => [
      mustWait(other.append({ x: bytes("2") })),
      mustWait(other.pop("x")).then(() => other.append({ x: bytes("3") })),
      mustWait(other.withLock((store) => store.append({ y: bytes("4") }))),
    ]);
    for (const call of waiting) call.catch(() => {}); // Awaited below.
    for (let i = 0; i < 3; i++) {
      await turns();
      equal(await read(held, "x"), "1", "x while the lock is held");
      equal(await read(held, "y"), "", "y while the lock is held");
    }
    over = true;
  });
  await Promise.all(waiting);
  equal(await read(other, "x"), "3", "x at the end");
  equal(await read(holder, "y"), "4", "y at the end");
}
