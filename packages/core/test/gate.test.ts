import { describe, expect, test } from "@jest/globals";
import { Gate } from "@partd/core/author";

/** A promise that is settled from outside. */
class Door {
  open!: () => void;
  readonly opened = new Promise<void>((resolve) => {
    this.open = resolve;
  });
}

describe("Gate", () => {
  test("shared operations overlap, an exclusive one is alone, in the order of asking", async () => {
    const gate = new Gate();
    const steps: string[] = [];
    const doors = Array.from({ length: 5 }, () => new Door());
    const step = (name: string, door: number) => async () => {
      steps.push(name);
      await doors[door]!.opened;
      steps.push(`${name} ends`);
    };
    const all = [
      gate.shared(step("a", 0)),
      gate.shared(step("b", 1)),
      gate.exclusive(step("X", 2)),
      gate.shared(step("c", 3)),
      gate.exclusive(step("Y", 4)),
      gate.shared(step("d", 4)),
    ];
    await settle();
    expect(steps).toEqual(["a", "b"]);
    doors[1]!.open();
    await settle();
    expect(steps).toEqual(["a", "b", "b ends"]);
    for (const door of doors) door.open();
    await Promise.all(all);
    expect(steps.slice(3)).toEqual([
      "a ends",
      "X",
      "X ends",
      "c",
      "c ends",
      "Y",
      "Y ends",
      "d",
      "d ends",
    ]);
  });

  test("answers and errors come through, and the gate goes on", async () => {
    const gate = new Gate();
    const error = new Error("from the operation");
    expect(await gate.shared(async () => 1)).toBe(1);
    await expect(gate.shared(() => Promise.reject(error))).rejects.toBe(error);
    await expect(gate.exclusive(() => Promise.reject(error))).rejects.toBe(error);
    await expect(
      gate.exclusive(() => {
        throw error;
      }),
    ).rejects.toBe(error);
    expect(await gate.exclusive(async () => 2)).toBe(2);
  });

  test("one that gives up lets those behind it through", async () => {
    const gate = new Gate();
    const door = new Door();
    const controller = new AbortController();
    const reason = new Error("given up");
    const running = gate.shared(() => door.opened);
    let ran = false;
    const waiting = gate.exclusive(
      async () => {
        ran = true;
      },
      { signal: controller.signal },
    );
    const behind = gate.shared(async () => "behind");
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    expect(await behind).toBe("behind"); // Beside the one that still runs.
    door.open();
    await running;
    expect(ran).toBe(false);
    expect(await gate.exclusive(async () => "alone")).toBe("alone");
  });

  test("one that gives up when it was just let in does not run, and leaves the gate open", async () => {
    const gate = new Gate();
    const door = new Door();
    const controller = new AbortController();
    let ran = false;
    // The abort comes after the gate has let the second in, and before the second goes on.
    const running = gate.exclusive(async () => {
      await door.opened;
      queueMicrotask(() => queueMicrotask(() => controller.abort("reason")));
    });
    const waiting = gate.shared(
      async () => {
        ran = true;
      },
      { signal: controller.signal },
    );
    door.open();
    const [, outcome] = await Promise.allSettled([running, waiting]);
    expect(outcome.status === "rejected").toBe(!ran);
    expect(await gate.exclusive(async () => "alone")).toBe("alone");
  });

  test("an aborted signal is noticed before waiting", async () => {
    const gate = new Gate();
    const door = new Door();
    const running = gate.exclusive(() => door.opened);
    const signal = AbortSignal.abort("reason");
    await expect(gate.shared(async () => 1, { signal })).rejects.toBe("reason");
    door.open();
    await running;
    await expect(gate.shared(async () => 1, { signal })).rejects.toBe("reason");
  });

  test("100,000 wait in line, half of them give up, and the rest run in order", async () => {
    const gate = new Gate();
    const door = new Door();
    const controller = new AbortController();
    const running = gate.exclusive(() => door.opened);
    const order: number[] = [];
    const all: Promise<void>[] = [];
    for (let i = 0; i < 100_000; i++) {
      const options = i % 2 ? { signal: controller.signal } : {};
      const enter = async () => void order.push(i);
      all.push(i % 3 ? gate.shared(enter, options) : gate.exclusive(enter, options));
    }
    controller.abort("reason");
    door.open();
    const results = await Promise.allSettled([running, ...all]);
    expect(results.filter(({ status }) => status === "rejected").length).toBe(50_000);
    expect(order).toEqual(Array.from({ length: 50_000 }, (_, i) => i * 2));
  });
});

async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}
