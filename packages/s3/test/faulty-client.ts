import type { ObjectClient } from "@partd/s3";

export type Method = keyof ObjectClient;

/** What happens to a request; nothing unless it says something. */
export interface Faults {
  /** Rejects, or waits, before the server sees the request. */
  before?(method: Method, request: { readonly key?: string }): Promise<void> | void;
  /** The same, once the server has carried it out. */
  after?(method: Method, request: { readonly key?: string }): Promise<void> | void;
  /** Changes what comes back. */
  // biome-ignore lint/suspicious/noExplicitAny: the answers of four methods, that of `get` whole.
  answer?(method: Method, request: { readonly key?: string }, answer: any): unknown;
}

/** A client whose requests go wrong as `faults` says, which may be changed at any time. */
export function faultyClient(client: ObjectClient, faults: Faults): ObjectClient {
  const wrap =
    <R, A>(method: Method, call: (request: R) => Promise<A>) =>
    async (request: R): Promise<A> => {
      await faults.before?.(method, request as object);
      const answer = await call(request);
      await faults.after?.(method, request as object);
      return (faults.answer?.(method, request as object, answer) ?? answer) as A;
    };
  return {
    put: wrap("put", (request) => client.put(request)),
    get: wrap("get", async (request) => wholeOf(await client.get(request))),
    list: wrap("list", (request) => client.list(request)),
    delete: wrap("delete", (request) => client.delete(request)),
  };
}

/** All bytes of an answer. */
export async function wholeOf(answer: Uint8Array | AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  if (answer instanceof Uint8Array) return answer;
  const pieces: Uint8Array[] = [];
  for await (const piece of answer) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** What a client throws where the connection breaks. */
export function cut(): Error {
  return Object.assign(new Error("socket hang up"), { name: "Error", code: "ECONNRESET" });
}

/** What a client throws where the server refuses. */
export function refusal(status: number, name: string): Error {
  return Object.assign(new Error(`${name} from the server`), {
    name,
    $metadata: { httpStatusCode: status },
  });
}
