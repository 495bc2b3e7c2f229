import { MsgPackDecoder, MsgPackEncoder } from "@partd/codec-msgpack/format";
import type { PyDtype } from "@partd/codec-pickle";
import { Pickler, Unpickler } from "@partd/codec-pickle/format";
import { isPartdError } from "@partd/core";
import { frame, splitFrames } from "@partd/core/author";
import { itemSizeOf, type Values } from "./column.js";
import type { Compression } from "./compression.js";
import { Damage } from "./damage.js";

export const unpickler = new Unpickler({ objects: "keep" });

export const pickler = new Pickler(5, "keep");

const encoder = new MsgPackEncoder();

const decoder = new MsgPackDecoder();

export async function packed(
  { dtype, data }: Values,
  compression: Compression,
): Promise<Uint8Array> {
  if (!Array.isArray(data)) return compression.numbers(data as Uint8Array, itemSizeOf(dtype));
  return compression.objects(frame(encodeObjects(data)));
}

function encodeObjects(items: unknown[]): Uint8Array {
  try {
    return encoder.encode(items);
  } catch (error) {
    if (!isPartdError(error, "ERR_PARTD_CODEC")) throw error;
    return pickler.dump(items);
  }
}

export async function unpacked(
  bytes: Uint8Array,
  dtype: PyDtype,
  items: number | undefined,
  compression: Compression,
): Promise<Values> {
  if (/O/.test(dtype.text)) {
    const framed = await compression.readObjects(bytes);
    const data: unknown[] = [];
    for (const { bytes: list } of splitFrames(framed, "")) {
      const decoded =
        list[0] === 0x80 && list.length > 1 ? unpickler.load(list) : decoder.decode(list);
      if (!Array.isArray(decoded)) throw new Damage("its objects are not a list.");
      for (const item of decoded) data.push(item);
    }
    if (items !== undefined && data.length !== items)
      throw new Damage("a block has not the shape it claims.");
    return { dtype: "|O", data };
  }
  const size = itemSizeOf(dtype.text);
  const data = await compression.readNumbers(bytes, items === undefined ? undefined : items * size);
  if (data.byteLength % size !== 0 || (items !== undefined && data.byteLength !== items * size)) {
    throw new Damage("a block has not the shape it claims.");
  }
  return { dtype: dtype.text, data };
}
