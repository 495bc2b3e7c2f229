import type { Key, Store } from "@partd/core";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function bytes(text: string): Uint8Array {
  return encoder.encode(text);
}

/** What a key holds, as text. */
export async function read(store: Store, key: Key): Promise<string> {
  return decoder.decode(await store.get(key));
}

/** What remains of a stream, as text. */
export async function rest(pieces: AsyncIterable<Uint8Array>): Promise<string> {
  const decode = new TextDecoder();
  let text = "";
  for await (const piece of pieces) text += decode.decode(piece, { stream: true });
  return text + decode.decode();
}

/** Lets all that is ready to run do so, several times over. */
export async function turns(count = 10): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise<void>((next) => setImmediate(next));
}

/** Whether the promise has settled by now. */
export async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let pending = true;
  const settled = () => {
    pending = false;
  };
  promise.then(settled, settled);
  await turns();
  return pending;
}
