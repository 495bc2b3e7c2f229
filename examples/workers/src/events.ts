import type { Store } from "@partd/core";
import { FileStore } from "@partd/file";
import { LogStore } from "@partd/log";
import { Client } from "@partd/server";
import { Shuffle } from "@partd/shuffle";

export interface Event {
  /** The number of its line. */
  readonly line: number;
  readonly user: string;
  readonly ms: number;
}

/** `file:DIRECTORY`, `log:DIRECTORY`, or the address of a server: all else stays as it is. */
export function openStore(where: string): Store {
  if (where.startsWith("file:")) return new FileStore(where.slice("file:".length));
  if (where.startsWith("log:")) return new LogStore(where.slice("log:".length));
  return new Client(where);
}

/** The shuffle, the same in every process. */
export function shuffleOf(store: Store): Shuffle<Event, "user"> {
  return new Shuffle<Event, "user">(store, { by: "user", partitions: 8 });
}

/** Events of a thousand users, some far busier than others; the same each time. */
export function* randomEvents(count: number): Generator<Event> {
  let seed = 1;
  const random = () => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return seed / 2 ** 32;
  };
  for (let line = 1; line <= count; line++) {
    const user = `user-${Math.floor(1000 * random() ** 3)}`;
    yield { line, user, ms: Math.floor(1000 * random()) };
  }
}
