import type { Request } from "./request.js";

/** What a client has sent and has no answer to, by number. */
export class SentRequests {
  /** In the order of their numbers, which go on from one connection to the next. */
  readonly mutations = new Map<number, Request>();
  readonly reads = new Map<number, Request>();
  #nextMutation = 1;
  #nextRead = 1;

  get size(): number {
    return this.mutations.size + this.reads.size;
  }

  /** The lowest mutation without an answer, or the number of the next one. */
  get first(): number {
    for (const number of this.mutations.keys()) return number;
    return this.#nextMutation;
  }

  /** Notes a request that is now sent; it gets a number if it was never sent before. */
  add(request: Request): void {
    if (request.number === 0) {
      request.number = request.isMutation ? this.#nextMutation++ : this.#nextRead++;
    }
    this.#of(request.isMutation).set(request.number, request);
  }

  find(mutation: boolean, number: number): Request | undefined {
    return this.#of(mutation).get(number);
  }

  has(request: Request): boolean {
    return this.find(request.isMutation, request.number) === request;
  }

  delete(request: Request): void {
    this.#of(request.isMutation).delete(request.number);
  }

  #of(mutation: boolean): Map<number, Request> {
    return mutation ? this.mutations : this.reads;
  }
}
