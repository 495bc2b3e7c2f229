import type { Crash, History, Operation } from "./history.js";

export type Rule =
  /** A value holds bytes that are not an element of its key. */
  | "damaged"
  /** An element was read that no append had written by then. */
  | "out of nothing"
  /** An element was read though its append was refused. */
  | "refused, yet there"
  /** An element stands twice in a value, or two pops took it. */
  | "twice"
  /** An element is missing that was acknowledged, or seen before. */
  | "lost"
  /** Some elements of a batch are there, and others not. */
  | "half a batch"
  /** An element stands before one whose append was acknowledged before its own began. */
  | "out of order"
  /** An element was read after it was deleted or popped. */
  | "back again"
  /** A lock's holder did not see what the holders before it had appended. */
  | "lost update"
  /** A key that is only set holds more than one element. */
  | "set twice"
  /** A temporary store is still there when its thread and process have ended. */
  | "left behind"
  /** A call failed with an error that the round does not account for. */
  | "odd error"
  /** A call has not come back, though nothing stands in its way. */
  | "stuck";

export interface Violation {
  readonly rule: Rule;
  readonly what: string;
  /** The calls that show it: without any one of them the rule holds. */
  readonly witnesses: readonly Operation[];
}

export interface Promises {
  /** Whether the error of a call is one that its round accounts for. */
  readonly isExpected: (failed: Operation) => boolean;
  /** Whether a `get` of several keys shows a batch whole, though others write meanwhile. */
  readonly isAtomic: boolean;
}

/**
 * Compares a history with what every store promises, the shortest proof first. It knows nothing of
 * how a store works, only when calls were made, when they came back, and with what.
 */
export function check(history: History, promises: Promises): Violation[] {
  const violations = new Checker(history, promises).run();
  return violations.sort((a, b) => a.witnesses.length - b.witnesses.length);
}

/** One appended element, and what is known of its fate. */
interface Element {
  readonly key: string;
  readonly id: string;
  readonly append: Operation;
  readonly batch: Batch;
  /** The first removal that may have taken it: from its invocation on it may be missing. */
  removable: Operation | undefined;
  /** The removals after which it is gone: the first, and the first that no crash undoes. */
  gone: Operation | undefined;
  goneForGood: Operation | undefined;
}

interface Batch {
  readonly append: Operation;
  readonly elements: Element[];
  /** When it was certainly there: acknowledged, or read by a call that had come back. */
  visible: number;
  /** The read that showed it, where that came before the acknowledgement. */
  witness: Operation | undefined;
}

class Checker {
  readonly #history: History;
  readonly #promises: Promises;
  readonly #elements = new Map<string, Element>();
  readonly #byKey = new Map<string, Element[]>();
  readonly #removals = new Map<string, Operation[]>();
  readonly #flushes: readonly Operation[];
  readonly #certainUntil = new Map<Operation, number>();
  readonly #violations = new Map<string, Violation>();

  constructor(history: History, promises: Promises) {
    this.#history = history;
    this.#promises = promises;
    this.#flushes = history.operations.filter(
      ({ kind, outcome }) => kind === "flush" && outcome === "ok",
    );
  }

  run(): Violation[] {
    const { operations } = this.#history;
    for (const operation of operations) this.#index(operation);
    for (const operation of operations) this.#see(operation);
    for (const element of this.#elements.values()) this.#foresee(element);
    const takers = new Map<string, Operation>();
    for (const operation of operations) {
      this.#checkError(operation);
      if (operation.outcome !== "ok" || !operation.values) continue;
      if (operation.kind === "keys") this.#checkListing(operation);
      else this.#checkRead(operation);
      if (operation.kind === "pop") this.#checkTaken(operation, takers);
    }
    return [...this.#violations.values()];
  }

  #index(operation: Operation): void {
    const { kind, keys, elements } = operation;
    const { completed, outcome } = operation;
    const visible = outcome === "ok" ? completed : Number.POSITIVE_INFINITY;
    const batch: Batch = { append: operation, elements: [], visible, witness: undefined };
    for (const [key, id] of elements) {
      const element: Element = {
        ...{ key, id, append: operation, batch },
        ...{ removable: undefined, gone: undefined, goneForGood: undefined },
      };
      batch.elements.push(element);
      this.#elements.set(`${key} ${id}`, element);
      listOf(this.#byKey, key).push(element);
    }
    if (kind === "delete" || kind === "pop") {
      for (const key of keys) listOf(this.#removals, key).push(operation);
    }
  }

  /** What a read shows has happened by the time it comes back. */
  #see(operation: Operation): void {
    if (operation.outcome !== "ok") return;
    for (const [key, ids] of Object.entries(operation.values ?? {})) {
      for (const id of ids) {
        const batch = this.#elements.get(`${key} ${id}`)?.batch;
        if (!batch || batch.visible <= operation.completed) continue;
        batch.visible = operation.completed;
        batch.witness = operation;
      }
    }
  }

  /** A removal that was refused may have done some of its work. A pop took what it answered. */
  #foresee(element: Element): void {
    const { key, id, append, batch } = element;
    for (const removal of this.#removals.get(key) ?? []) {
      const took = removal.kind === "pop" && removal.outcome === "ok";
      const has = took && (removal.values?.[key] ?? []).includes(id);
      if (took ? has : removal.completed > append.invoked) {
        if (!element.removable || removal.invoked < element.removable.invoked)
          element.removable = removal;
      }
      if (removal.outcome !== "ok" || !(has || batch.visible < removal.invoked)) continue;
      if (!element.gone || removal.completed < element.gone.completed) element.gone = removal;
      if (this.#lasts(removal) < Number.POSITIVE_INFINITY) continue;
      if (!element.goneForGood || removal.completed < element.goneForGood.completed)
        element.goneForGood = removal;
    }
  }

  #checkError(operation: Operation): void {
    const { kind, error } = operation;
    if (error === undefined || this.#promises.isExpected(operation)) return;
    this.#report("odd error", `${kind}: ${error}`, [operation], error.slice(0, 60));
  }

  #checkRead(read: Operation): void {
    for (const [key, ids] of Object.entries(read.values ?? {})) {
      const present = new Map<string, number>();
      let latest: Element | undefined;
      for (const [i, id] of ids.entries()) {
        if (id.startsWith("!")) {
          // What was not flushed may be there in part: a long value is spilled in pieces.
          if (!this.#history.crashes.some(({ began }) => began < read.completed))
            this.#report("damaged", `${key} at ${id.slice(1)}`, [read], key);
          continue;
        }
        if (present.has(id)) this.#report("twice", `${id} in ${key}`, [read], id);
        present.set(id, i);
        const element = this.#elements.get(`${key} ${id}`);
        if (!element || element.append.invoked > read.completed) {
          this.#report(
            "out of nothing",
            `${id} in ${key}`,
            element ? [element.append, read] : [read],
          );
          continue;
        }
        this.#checkPresence(element, read);
        if (latest && latest.append.invoked > acknowledged(element.append)) {
          const witnesses = [element.append, latest.append, read];
          this.#report("out of order", `${latest.id} before ${id} in ${key}`, witnesses);
        } else if (latest?.append === element.append && later(latest, element)) {
          this.#report("out of order", `${latest.id} before ${id} in ${key}`, [
            latest.append,
            read,
          ]);
        }
        if (!latest || element.append.invoked >= latest.append.invoked) latest = element;
        const [, seen] = id.split("#");
        if (seen !== undefined && Number(seen) !== i && this.#history.crashes.length === 0)
          this.#report("lost update", `${id} stands at ${i} of ${key}`, [element.append, read]);
      }
      if (key.startsWith("set") && ids.length > 1)
        this.#report("set twice", `${key} holds ${ids.join()}`, [read], key);
      this.#checkAbsence(key, present, read);
    }
    if (read.kind === "entries") {
      for (const key of read.keys) {
        if (!(key in (read.values ?? {}))) this.#checkAbsence(key, new Map(), read);
      }
    }
  }

  #checkPresence(element: Element, read: Operation): void {
    const { append, key, id } = element;
    if (append.outcome === "fail") {
      this.#report("refused, yet there", `${id} in ${key}: ${append.error}`, [append, read]);
    }
    const gone = [element.goneForGood, element.gone].find(
      (removal) =>
        removal && removal.completed < read.invoked && read.completed < this.#lasts(removal),
    );
    if (gone) this.#report("back again", `${id} in ${key}`, witnessesOf(element, gone, read));
  }

  #checkAbsence(key: string, present: ReadonlyMap<string, number>, read: Operation): void {
    if (key.startsWith("set")) return;
    for (const element of this.#byKey.get(key) ?? []) {
      if (present.has(element.id)) continue;
      const { append, batch, removable } = element;
      if (removable && removable.invoked < read.completed) continue;
      if (read.completed >= this.#lasts(append)) continue;
      if (batch.visible < read.invoked) {
        const isHalf = batch.witness !== undefined && batch.elements.length > 1;
        const rule = isHalf ? "half a batch" : "lost";
        this.#report(rule, `${element.id} in ${key}`, witnessesOf(element, read));
      } else if (this.#promises.isAtomic && read.kind === "get") {
        const other = batch.elements.find((one) => read.values?.[one.key]?.includes(one.id));
        if (!other) continue;
        const what = `${other.id} in ${other.key}, but not ${element.id} in ${key}`;
        this.#report("half a batch", what, [append, read]);
      }
    }
  }

  #checkListing(listing: Operation): void {
    const listed = new Set(Object.keys(listing.values ?? {}));
    for (const key of listing.keys) {
      if (!listed.has(key)) {
        this.#checkAbsence(key, new Map(), listing);
        continue;
      }
      const mayBe = (this.#byKey.get(key) ?? []).some(
        ({ append, goneForGood }) =>
          append.invoked < listing.completed &&
          append.outcome !== "fail" &&
          !(goneForGood && goneForGood.completed < listing.invoked),
      );
      if (!mayBe) this.#report("out of nothing", `the key ${key} is listed`, [listing], key);
    }
  }

  #checkTaken(pop: Operation, takers: Map<string, Operation>): void {
    for (const [key, ids] of Object.entries(pop.values ?? {})) {
      for (const id of ids) {
        const first = takers.get(`${key} ${id}`);
        takers.set(`${key} ${id}`, pop);
        if (!first || this.#lasts(first) < Number.POSITIVE_INFINITY) continue;
        this.#report("twice", `${id} in ${key} was popped twice`, [first, pop], id);
      }
    }
  }

  /** Until when the effect of a call is certain to last: a crash may undo what was not flushed. */
  #lasts(operation: Operation): number {
    let until = this.#certainUntil.get(operation);
    if (until === undefined) {
      const crash = this.#history.crashes.find(({ ended }) => ended > operation.invoked);
      until = !crash || this.#isFlushed(operation, crash) ? Number.POSITIVE_INFINITY : crash.began;
      this.#certainUntil.set(operation, until);
    }
    return until;
  }

  #isFlushed({ completed }: Operation, crash: Crash): boolean {
    return this.#flushes.some(
      (flush) => flush.invoked > completed && flush.completed < crash.began,
    );
  }

  /** One report for a rule and its subject: the one with the fewest witnesses. */
  #report(rule: Rule, what: string, witnesses: readonly Operation[], subject = what): void {
    const id = `${rule} ${subject}`;
    const known = this.#violations.get(id);
    if (known && known.witnesses.length <= witnesses.length) return;
    this.#violations.set(id, { rule, what, witnesses });
  }
}

function acknowledged({ outcome, completed }: Operation): number {
  return outcome === "ok" ? completed : Number.POSITIVE_INFINITY;
}

/** Whether one element of a batch was given after another. */
function later(one: Element, other: Element): boolean {
  const { elements } = one.batch;
  return elements.indexOf(one) > elements.indexOf(other);
}

/** The append, the read that showed it where it was not acknowledged, and what contradicts it. */
function witnessesOf({ append, batch }: Element, ...others: Operation[]): Operation[] {
  const all = batch.witness ? [append, batch.witness, ...others] : [append, ...others];
  return [...new Set(all)];
}

function listOf<T>(lists: Map<string, T[]>, key: string): T[] {
  let list = lists.get(key);
  if (!list) {
    list = [];
    lists.set(key, list);
  }
  return list;
}
