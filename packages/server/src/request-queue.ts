import { KEY_BYTES, type Terms } from "./protocol.js";
import type { Request } from "./request.js";
import type { Upload } from "./upload.js";

/** Requests that wait to be sent, and how much of the server's window those take that were. */
export class RequestQueue {
  #requests: Request[] = [];
  #next = 0;
  /** Of which nobody waits any longer. */
  #dropped = 0;
  #takenBytes = 0;
  #takenRequests = 0;
  /** Under way; nothing passes it. */
  upload: Upload | undefined;

  /** Requests that someone waits for. */
  get size(): number {
    return this.#requests.length - this.#next - this.#dropped;
  }

  push(request: Request): void {
    request.queued = true;
    this.#requests.push(request);
  }

  /** A request was settled: it may be one that waits here. */
  drop(request: Request): void {
    if (request.queued) this.#dropped++;
  }

  /** Puts requests before those that wait. */
  unshift(requests: readonly Request[]): void {
    if (requests.length === 0) return;
    const later = this.takeAll();
    for (const request of [...requests, ...later]) this.push(request);
  }

  takeAll(): Request[] {
    const requests = this.#requests.slice(this.#next).filter((request) => !request.settled);
    for (const request of requests) request.queued = false;
    this.#requests = [];
    this.#next = 0;
    this.#dropped = 0;
    return requests;
  }

  /** Takes the next request if the terms let it be sent now. */
  next(terms: Terms): Request | undefined {
    for (; this.#next < this.#requests.length; this.#next++) {
      const request = this.#requests[this.#next] as Request;
      if (request.settled) {
        this.#dropped--;
        continue;
      }
      if (this.upload || this.#takenRequests >= terms.pending) return undefined;
      const bytes = this.uploads(request, terms) ? 0 : mostOf(request);
      if (this.#takenBytes + bytes > terms.window) return undefined;
      this.#next++;
      request.queued = false;
      return request;
    }
    this.#requests = [];
    this.#next = 0;
    return undefined;
  }

  /** Whether a request is too long to be sent in one message. */
  uploads(request: Request, terms: Terms): boolean {
    return request.body.bound + 32 > terms.message || mostOf(request) > terms.window;
  }

  /** A request was sent, in so many bytes. */
  take(request: Request, bytes: number): void {
    request.taken = bytes + KEY_BYTES * request.body.keyCount;
    this.#takenBytes += request.taken;
    this.#takenRequests++;
  }

  /** A request that was sent was answered. */
  answered(request: Request): void {
    if (this.upload?.request === request) {
      this.upload = undefined;
      return;
    }
    this.#takenBytes -= request.taken;
    this.#takenRequests--;
    request.taken = 0;
  }

  /** The connection is gone, and with it what was under way. */
  reset(): void {
    this.#takenBytes = 0;
    this.#takenRequests = 0;
    this.upload = undefined;
  }
}

/** What a request takes of the window at most. */
function mostOf({ body }: Request): number {
  return body.bound + 32 + KEY_BYTES * body.keyCount;
}
