import fs from "node:fs";
import { afterAll, afterEach, expect, test } from "@jest/globals";
import { FileStore } from "@partd/file";
import { directories } from "./program.js";

const { make, clean } = directories();
afterAll(clean);

const { read } = fs;
afterEach(() => {
  fs.read = read;
});

test("a stream that is left while its next piece is read closes its file after that", async () => {
  await using store = new FileStore(make());
  await store.append({ x: new Uint8Array(3 * 2 ** 20) });
  let reads = 0;
  const failures: unknown[] = [];
  // The thread pool takes its time.
  fs.read = ((...args: [...unknown[], (error: unknown, count?: number) => void]) => {
    const answer = args.pop() as (error: unknown, count?: number) => void;
    const told = (error: unknown, count?: number) => {
      reads++;
      if (error) failures.push(error);
      answer(error, count);
    };
    setTimeout(() => (read as (...args: unknown[]) => void)(...args, told), 20);
  }) as unknown as typeof read;
  for await (const piece of store.stream("x")) {
    expect(piece.byteLength).toBeGreaterThan(0);
    break;
  }
  while (reads < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(failures).toEqual([]);
});
