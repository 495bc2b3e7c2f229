import { describe, expect, test } from "@jest/globals";
import { check, type Promises, type Rule } from "../src/check.js";
import type { Crash, Operation } from "../src/history.js";

const STRICT: Promises = { isExpected: () => false, isAtomic: true };
const NEVER = Number.POSITIVE_INFINITY;

/** A call from `at` to `at + 1`, unless `rest` says otherwise. */
function call(lane: string, at: number, kind: Operation["kind"], rest: Partial<Operation>) {
  const times = { invoked: at, completed: at + 1 };
  return {
    lane,
    n: at,
    kind,
    keys: [],
    elements: [],
    outcome: "ok",
    ...times,
    ...rest,
  } as Operation;
}

function append(lane: string, at: number, elements: string[], rest: Partial<Operation> = {}) {
  const pairs = elements.map((one) => one.split(":") as [string, string]);
  return call(lane, at, "append", { keys: pairs.map(([key]) => key), elements: pairs, ...rest });
}

function reads(kind: Operation["kind"]) {
  return (at: number, values: Record<string, string[]>, rest: Partial<Operation> = {}) =>
    call("r", at, kind, { keys: Object.keys(values), values, ...rest });
}

const get = reads("get");
const pop = reads("pop");
const remove = (at: number, keys: string[], rest: Partial<Operation> = {}) =>
  call("d", at, "delete", { keys, ...rest });

function rulesOf(operations: Operation[], crashes: Crash[] = [], promises = STRICT): Rule[] {
  return check({ operations, crashes }, promises).map(({ rule }) => rule);
}

const a = append("a", 1, ["x:a1", "y:a2"]);
const unknown: Partial<Operation> = { outcome: "unknown", completed: NEVER };
const failed: Partial<Operation> = { outcome: "fail", error: "ERR_PARTD_IO: full" };

describe("what breaks a rule", () => {
  const broken: [name: string, rule: Rule, operations: Operation[]][] = [
    ["an acknowledged element that is missing", "lost", [a, get(3, { x: [] })]],
    [
      "one that is missing among others",
      "lost",
      [a, append("b", 1, ["x:b"]), get(3, { x: ["b"] })],
    ],
    ["a key that is not listed", "lost", [a, reads("keys")(3, {}, { keys: ["x"] })]],
    [
      "a key that is not an entry",
      "lost",
      [a, reads("entries")(3, { y: ["a2"] }, { keys: ["x", "y"] })],
    ],
    [
      "one missing after a pop that did not take it",
      "lost",
      [a, pop(2, { x: [] }, { invoked: 1 }), get(5, { x: [] })],
    ],
    [
      "one missing as a delete had ended before its append",
      "lost",
      [remove(0, ["x"], { completed: 0.5 }), a, get(3, { x: [] })],
    ],
    [
      "the other half of a batch in one read",
      "half a batch",
      [append("a", 1, ["x:a1", "y:a2"], unknown), get(3, { x: ["a1"], y: [] })],
    ],
    [
      "the other half of a batch in a later read",
      "half a batch",
      [append("a", 1, ["x:a1", "y:a2"], unknown), get(3, { x: ["a1"] }), get(5, { y: [] })],
    ],
    [
      "one that was seen, then missing",
      "lost",
      [append("a", 1, ["x:a1"], unknown), get(3, { x: ["a1"] }), get(5, { x: [] })],
    ],
    ["an element twice", "twice", [a, get(3, { x: ["a1", "a1"] })]],
    ["an element popped twice", "twice", [a, pop(3, { x: ["a1"] }), pop(3, { x: ["a1"] })]],
    ["an element of nobody", "out of nothing", [a, get(3, { x: ["a1", "z"] })]],
    ["an element under another key", "out of nothing", [a, get(3, { x: ["a1", "a2"] })]],
    ["an element before its append", "out of nothing", [a, get(-1, { x: ["a1"] })]],
    ["a key of nobody", "out of nothing", [reads("keys")(3, { x: [] })]],
    [
      "an element of a refused append",
      "refused, yet there",
      [append("a", 1, ["x:a1"], failed), get(3, { x: ["a1"] })],
    ],
    [
      "two appends of a writer the other way round",
      "out of order",
      [a, append("a", 3, ["x:a3"]), get(5, { x: ["a3", "a1"] })],
    ],
    [
      "appends of two writers, one after the other",
      "out of order",
      [a, append("b", 3, ["x:b"]), get(5, { x: ["b", "a1"] })],
    ],
    [
      "a batch's own elements",
      "out of order",
      [append("a", 1, ["x:1", "x:2"]), get(3, { x: ["2", "1"] })],
    ],
    ["an element after its deletion", "back again", [a, remove(3, ["x"]), get(5, { x: ["a1"] })]],
    [
      "an element after it was popped",
      "back again",
      [append("a", 1, ["x:a1"], unknown), pop(3, { x: ["a1"] }), get(5, { x: ["a1"] })],
    ],
    ["bytes that are not an element", "damaged", [a, get(3, { x: ["a1", "!12 of 20: torn"] })]],
    [
      "a holder that missed one before it",
      "lost update",
      [
        append("a", 1, ["locked:a#0"]),
        append("b", 1, ["locked:b#0"]),
        get(3, { locked: ["a#0", "b#0"] }),
      ],
    ],
    [
      "two elements of a key that is set",
      "set twice",
      [append("a", 1, ["set0:a"]), append("b", 1, ["set0:b"]), get(3, { set0: ["a", "b"] })],
    ],
    ["an error", "odd error", [append("a", 1, ["x:a1"], failed)]],
  ];
  for (const [name, rule, operations] of broken) {
    test(`${name} is ${rule}`, () => {
      const violations = check({ operations, crashes: [] }, STRICT);
      const [shortest] = violations.filter((one) => one.rule === rule);
      expect(violations.map((one) => one.rule)).toContain(rule);
      // The proof proves it by itself, and nothing in it can be left out.
      const proof = [...shortest!.witnesses].sort((one, other) => one.invoked - other.invoked);
      expect(rulesOf(proof)).toContain(rule);
      for (const left of proof) {
        const rest = proof.filter((one) => one !== left);
        const { what } = shortest!;
        const shown = check({ operations: rest, crashes: [] }, STRICT).filter(
          (one) => one.rule === rule && one.what === what,
        );
        // Without its append, an element comes out of nothing all the more.
        if (rule !== "out of nothing") expect(shown).toEqual([]);
      }
    });
  }

  test("the shortest proof is first", () => {
    const operations = [a, remove(3, ["x"]), get(5, { x: ["a1"], y: ["a2", "a2"] })];
    const [first] = check({ operations, crashes: [] }, STRICT);
    expect(first?.rule).toBe("twice");
  });
});

describe("what no rule forbids", () => {
  const sound: [name: string, operations: Operation[]][] = [
    [
      "one read while it is appended",
      [a, get(1.5, { x: ["a1"], y: ["a2"] }), get(1.5, { x: [], y: [] })],
    ],
    [
      "one whose outcome is unknown, there or not",
      [append("a", 1, ["x:a1"], unknown), get(3, { x: [] }), get(5, { x: ["a1"] })],
    ],
    ["one that a delete may have met", [a, remove(1.5, ["x"]), get(5, { x: [] })]],
    ["one that a delete may have missed", [a, remove(1.5, ["x"]), get(5, { x: ["a1"] })]],
    [
      "one that a failed delete took",
      [a, remove(3, ["x"], { ...failed, error: undefined }), get(5, { x: [] })],
    ],
    [
      "half a batch of which the rest was deleted",
      [a, remove(3, ["x"]), get(5, { x: [], y: ["a2"] })],
    ],
    ["one popped once", [a, pop(3, { x: ["a1"] }), get(5, { x: [] })]],
    [
      "overlapping appends in any order",
      [a, append("b", 1.5, ["x:b"]), get(5, { x: ["b", "a1"] })],
    ],
    ["one refused and absent", [append("a", 1, ["x:a1"], { outcome: "fail" }), get(5, { x: [] })]],
    [
      "a listing while a key is deleted",
      [a, remove(3, ["x"]), reads("keys")(3.5, {}, { keys: ["x"] }), reads("keys")(3.5, { x: [] })],
    ],
  ];
  for (const [name, operations] of sound) {
    test(name, () => expect(rulesOf(operations)).toEqual([]));
  }

  test("half a batch in one read, where a get of several keys is no one moment", () => {
    const operations = [append("a", 1, ["x:a1", "y:a2"], unknown), get(3, { x: ["a1"], y: [] })];
    expect(rulesOf(operations, [], { ...STRICT, isAtomic: false })).toEqual([]);
  });
});

describe("a crash", () => {
  const crash: Crash = { began: 10, ended: 11 };
  const flush = call("a", 4, "flush", {});

  test("may take what was not flushed, and nothing else", () => {
    expect(rulesOf([a, get(12, { x: [] })], [crash])).toEqual([]);
    expect(rulesOf([a, get(5, { x: [] })], [crash])).toEqual(["lost"]);
    expect(rulesOf([a, flush, get(12, { x: [] })], [crash])).toEqual(["lost"]);
    expect(rulesOf([append("a", 12, ["x:a1"]), get(14, { x: [] })], [crash])).toEqual(["lost"]);
  });

  test("may undo a removal that was not flushed, and no other", () => {
    const removed = [a, remove(2.5, ["x"])];
    expect(rulesOf([...removed, get(12, { x: ["a1"] })], [crash])).toEqual([]);
    expect(rulesOf([...removed, flush, get(12, { x: ["a1"] })], [crash])).toEqual(["back again"]);
    const popped = [a, pop(2.5, { x: ["a1"] }), pop(12, { x: ["a1"] })];
    expect(rulesOf(popped, [crash])).toEqual([]);
    expect(rulesOf([...popped, flush], [crash])).toContain("twice");
  });

  test("may leave a part of an append behind, and no damage before", () => {
    const damaged = { x: ["!0 of 20: torn"] };
    expect(rulesOf([get(12, damaged)], [crash])).toEqual([]);
    expect(rulesOf([get(5, damaged)], [crash])).toEqual(["damaged"]);
  });

  test("takes no flush for a later one", () => {
    const late = call("a", 9, "flush", { completed: 12 });
    expect(rulesOf([a, late, get(14, { x: [] })], [crash])).toEqual([]);
  });
});
