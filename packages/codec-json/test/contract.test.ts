import { describe, test } from "@jest/globals";
import { codecContract } from "@partd/testing";
import fc from "fast-check";
import { Json, type JsonValue, jsonCodec } from "../src/index.js";

const utf8 = new TextEncoder();
const samples: JsonValue[][] = [[1], [], ["ü😀", null, { a: [true, -1.5e300] }]];
const hints = {
  // -0 has no JSON text of its own.
  arbitrary: fc.array(
    fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value)) as JsonValue),
  ),
  anyItems: true,
  unencodable: ["text", null, { a: 1 }, [undefined], [1n], [Number.NaN], [new Map()]],
  badBytes: [
    new Uint8Array(0),
    utf8.encode("[1"),
    utf8.encode("[1] [2]"),
    Uint8Array.of(0x5b, 0x22, 0xff, 0x22, 0x5d),
  ],
  refusedBytes: [
    ...["{}", "null", '"[]"', "[NaN]"], // Sound, but no lists of JSON.
    ...['{"a":1}\n{"a":2}\n', "[1]\r\n[2]"], // JSON by lines.
  ].map((text) => utf8.encode(text)),
};

describe("jsonCodec", () => {
  for (const { name, run } of codecContract(jsonCodec(), samples, hints)) test(name, run);
});

describe("Json", () => {
  for (const { name, run } of codecContract<JsonValue[]>(
    (store) => new Json(store),
    samples,
    hints,
  )) {
    test(name, run);
  }
});
