import { PartdError } from "@partd/core";
import { type Data, DataType } from "apache-arrow";

/**
 * `apache-arrow` counts the bytes of a buffer in 32 bits when it writes it: of a longer one it would
 * write metadata that no reader understands.
 *
 * @throws `ERR_PARTD_CODEC` where a record batch's column has a buffer of 2 GiB or more.
 */
export function checkWritable(data: Data): void {
  const { type, length, stride, values, valueOffsets, children } = data;
  if (valueOffsets !== undefined) {
    const begin = Number(valueOffsets[0]);
    const held = (Number(valueOffsets[length]) - begin) * (children.length > 0 ? 0 : 1);
    if (!DataType.isUnion(type)) check(type, held);
    check(type, (length + 1) * valueOffsets.BYTES_PER_ELEMENT);
  } else if (values !== undefined) {
    check(type, Math.min(values.length, length * stride) * values.BYTES_PER_ELEMENT);
  }
  for (const buffer of data.variadicBuffers ?? []) check(type, buffer.byteLength);
  for (const child of children) checkWritable(child);
  for (const piece of data.dictionary?.data ?? []) checkWritable(piece);
}

function check(type: DataType, byteLength: number): void {
  if (byteLength <= MAX_BUFFER_BYTES) return;
  throw new PartdError(
    "ERR_PARTD_CODEC",
    `a column of ${String(type)} has ${byteLength} bytes in one record batch, and less than 2 GiB can be written; append the rows in several steps.`,
  );
}

/** Rounded up to a multiple of 8, it is within 31 bits. */
const MAX_BUFFER_BYTES = 2 ** 31 - 8;
