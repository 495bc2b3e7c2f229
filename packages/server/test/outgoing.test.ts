import { expect, test } from "@jest/globals";
import { toBatch } from "@partd/core/author";
import { RequestQueue } from "../src/client/outgoing.js";
import { Acknowledged, Request } from "../src/client/request.js";
import { BatchBody } from "../src/client/request-body.js";
import { type Terms, Type } from "../src/protocol/constants.js";

test("very small values count by the memory that they take, not by their few bytes", () => {
  const terms = { window: 2 ** 20, message: 2 ** 20, pending: 1_000 } as Terms;
  const queue = new RequestQueue();
  const keys = Array.from({ length: 1_000 }, (_, i) => `k${i}`);
  const body = new BatchBody(toBatch(new Map(keys.map((key) => [key, Uint8Array.of(1)]))));
  const requests = Array.from(
    { length: 50 },
    () => new Request(Type.APPEND, body, new Acknowledged()),
  );
  for (const request of requests) queue.push(request);
  let sent = 0;
  for (let next = queue.next(terms); next; next = queue.next(terms)) {
    queue.take(next, 3_000);
    sent++;
  }
  expect(sent).toBeGreaterThan(10);
  expect(sent * keys.length).toBeLessThanOrEqual(terms.window / 64);
  queue.answered(requests[0] as Request);
  expect(queue.next(terms)).toBe(requests[sent]);
});
