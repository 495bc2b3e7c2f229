import { expect, test } from "@jest/globals";
import { MessageReader } from "../src/protocol/message-reader.js";

test.each([0, 1, 64, 65, 65_536])("a text of %i bytes of ASCII, and no other", (length) => {
  const bytes = new Uint8Array(length).map((_, i) => i % 0x80);
  expect(textOf(bytes)).toBe(String.fromCharCode(...bytes));
  for (let i = 0; i < length; i = i * 3 + 1) {
    const other = bytes.slice();
    other[i] = 0x80;
    expect(() => textOf(other)).toThrow("not ASCII");
  }
});

function textOf(bytes: Uint8Array): string {
  const reader = new MessageReader([bytes]);
  reader.enter();
  return reader.ascii(bytes.byteLength);
}
