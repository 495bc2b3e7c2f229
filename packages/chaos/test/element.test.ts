import { expect, test } from "@jest/globals";
import { elementsOf, elementText } from "../src/lane.js";

const bytes = (text: string) => Buffer.from(text, "latin1");
const one = elementText("k", "a.1.0", 5);
const two = elementText("k", "b.2.0", 0);

test("the elements of a value by their ids", () => {
  expect(elementsOf("k", bytes(""))).toEqual([]);
  expect(elementsOf("k", bytes(one + two))).toEqual(["a.1.0", "b.2.0"]);
});

test("whatever is not a whole element of the key is damage, and what follows is found again", () => {
  const damaged = [
    one.slice(0, -2) + two,
    one.replace("xx", "x\0") + two,
    elementText("other", "a.1.0", 5) + two,
    `\0\0\0${two}`,
    `${one.slice(0, 6)}${one.slice(0, -3)}${two}`,
  ];
  for (const text of damaged) {
    const ids = elementsOf("k", bytes(text));
    expect(ids[0]).toMatch(/^!0 of/);
    expect(ids.at(-1)).toBe("b.2.0");
  }
});
