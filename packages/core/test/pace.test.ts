import { expect, test } from "@jest/globals";
import { Pace } from "@partd/core/author";

test("a long loop is due now and then, and a rest lets other work run", async () => {
  let turns = 0;
  const tick = setInterval(() => turns++);
  try {
    const pace = new Pace();
    let rests = 0;
    while (turns < 3) {
      if (!pace.due) continue;
      await pace.rest();
      rests++;
    }
    expect(rests).toBeGreaterThan(0);
  } finally {
    clearInterval(tick);
  }
});

test("a short loop is not due", () => {
  const pace = new Pace();
  for (let i = 0; i < 31; i++) expect(pace.due).toBe(false);
});

test("loops that share a pace rest together", async () => {
  const pace = new Pace();
  const rest = pace.rest();
  expect(pace.rest()).toBe(rest);
  await rest;
  const next = pace.rest();
  expect(next).not.toBe(rest);
  await next;
});
