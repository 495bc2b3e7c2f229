import { expect, test } from "@jest/globals";
import { arrowCodec } from "@partd/codec-arrow";
import { jsonCodec } from "@partd/codec-json";
import { msgPackCodec } from "@partd/codec-msgpack";
import { pickleCodec } from "@partd/codec-pickle";
import { v8Codec } from "@partd/codec-v8";
import { frame } from "@partd/core/author";
import { tableFromArrays } from "apache-arrow";

const list = Array.from({ length: 500 }, (_, i) => ({ id: i, name: `name ${i}` }));
const encoded = {
  json: jsonCodec().encode(list),
  v8: v8Codec().encode(list),
  msgpack: msgPackCodec().encode(list),
  pickle: pickleCodec().encode(list),
  arrow: arrowCodec().encode(tableFromArrays({ n: Float64Array.from({ length: 500 }) })),
};

test.each(Object.entries(encoded))("what %s encodes is framed without a copy", (_, bytes) => {
  const before = (bytes as Uint8Array).slice();
  const framed = frame(bytes as Uint8Array);
  expect(framed.buffer).toBe((bytes as Uint8Array).buffer);
  expect(framed).toEqual(frame(before));
});
