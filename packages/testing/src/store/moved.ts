import { isPartdError, type Store } from "@partd/core";
import { fail } from "../check.js";

/**
 * Appends numbered elements to the key `kept` of a store whose directory was moved, removed or
 * replaced, until the store notices, which takes a few milliseconds.
 *
 * @returns what the key may hold: all acknowledged elements and, if the lock was lost in mid-append,
 *   also that append's element.
 * @throws `ContractError` if the store does not notice, fails in another way, or takes an append
 *   afterwards.
 */
export async function appendUntilMoved(store: Store): Promise<string[]> {
  const maybe: string[] = [];
  let done = "";
  for (let i = 0; i < MOST_APPENDS; i++) {
    const element = `${i},`;
    const error = await failureOf(store, element);
    if (error === undefined) done += element;
    else if (isPartdError(error, "ERR_PARTD_LOCK")) maybe.push(done + element);
    else if (!saysMoved(error)) fail("an append failed in another way", error);
    else if (!saysMoved(await failureOf(store, "late"))) fail("a later append was not refused");
    else return [done, ...maybe];
  }
  return fail(`${MOST_APPENDS} appends after the move were not refused`);
}

const MOST_APPENDS = 20_000;

function failureOf(store: Store, text: string): Promise<unknown> {
  return store.append({ kept: new TextEncoder().encode(text) }).then(
    () => undefined,
    (error: unknown) => error,
  );
}

function saysMoved(error: unknown): boolean {
  return isPartdError(error, "ERR_PARTD_IO") && error.message.includes("was moved or removed");
}
