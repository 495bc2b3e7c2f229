import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { expect, test } from "@jest/globals";
import { deserializeError, isPartdError, PartdError, serializeError, tuple } from "@partd/core";

const cause = Object.assign(new Error("no space"), { code: "ENOSPC" });
const error = new PartdError("ERR_PARTD_CORRUPT", "The frame is cut short.", {
  ...{ key: tuple("a/b", 1), offset: 7, path: "/data", address: "ws://h:1", cause },
});

function check(back: Error): void {
  expect(isPartdError(back, "ERR_PARTD_CORRUPT")).toBe(true);
  expect(back).toBeInstanceOf(PartdError);
  const { name, message, stack, code, key, offset, path, address } = back as PartdError;
  expect({ name, message, stack, code, key, offset, path, address }).toEqual({
    ...{ name: error.name, message: error.message, stack: error.stack, code: error.code },
    ...{ key: tuple("a/b", 1), offset: 7, path: "/data", address: "ws://h:1" },
  });
  expect(back.cause).toMatchObject({ name: "Error", message: "no space", code: "ENOSPC" });
}

test("an error of partd comes whole out of another thread, and out of JSON", async () => {
  const source = `
    const { parentPort } = require("node:worker_threads");
    import(${JSON.stringify(new URL("../dist/index.js", import.meta.url).href)}).then((core) => {
      parentPort.once("message", (data) => {
        parentPort.postMessage(core.serializeError(core.deserializeError(data)));
      });
    });`;
  const worker = new Worker(source, { eval: true });
  try {
    worker.postMessage(serializeError(error));
    const [data] = await once(worker, "message");
    check(deserializeError(data));
  } finally {
    await worker.terminate();
  }
  check(deserializeError(JSON.parse(JSON.stringify(serializeError(error)))));
});

test("what structuredClone makes of the error itself is not an error of partd", () => {
  expect(isPartdError(structuredClone(error))).toBe(false); // So that the above is needed.
});

test("other errors, and what is none, become errors", () => {
  const range = deserializeError(serializeError(new RangeError("too far")));
  expect([range.name, range.message]).toEqual(["RangeError", "too far"]);
  expect(deserializeError(serializeError("text")).message).toBe("text");
  const circle = new Error("circle");
  circle.cause = circle;
  expect(deserializeError(serializeError(circle)).message).toBe("circle");
});
