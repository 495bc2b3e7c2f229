import type { ByteWriter } from "./byte-writer.js";
import { Op } from "./opcodes.js";

/** Writes a safe integer as an int, any other number as a float. */
export function writeNumber(out: ByteWriter, value: number): void {
  if (!Number.isSafeInteger(value) || Object.is(value, -0)) {
    out.byte(Op.BINFLOAT);
    out.float64(value);
  } else if (value >= 0 && value < 0x100) {
    out.op8(Op.BININT1, value);
  } else if (value >= 0 && value < 0x10000) {
    out.op16(Op.BININT2, value);
  } else if (value === (value | 0)) {
    out.op32(Op.BININT, value);
  } else {
    writeSafeInteger(out, value);
  }
}

export function writeInteger(out: ByteWriter, value: bigint): void {
  if (value >= -0x8000_0000n && value < 0x8000_0000n) writeNumber(out, Number(value));
  else writeLong(out, value);
}

/** Writes a BigInt in the fewest bytes that hold its sign, too. */
function writeLong(out: ByteWriter, value: bigint): void {
  const digits = twosComplement(value);
  const count = digits.length / 2;
  out.byte(count < 0x100 ? Op.LONG1 : Op.LONG4);
  if (count < 0x100) out.byte(count);
  else out.uint32(count);
  for (let i = digits.length - 2; i >= 0; i -= 2) {
    out.byte(Number.parseInt(digits.slice(i, i + 2), 16));
  }
}

/** Writes a safe integer the same way, without the cost of a BigInt. */
function writeSafeInteger(out: ByteWriter, value: number): void {
  const magnitude = value < 0 ? -value - 1 : value;
  let count = 5;
  while (magnitude >= 2 ** (count * 8 - 1)) count++;
  out.byte(Op.LONG1);
  out.byte(count);
  for (let i = 0, rest = value; i < count; i++, rest = Math.floor(rest / 0x100)) {
    out.byte(rest - Math.floor(rest / 0x100) * 0x100);
  }
}

/** Two's complement in the fewest bytes that hold the sign, too: big-endian hexadecimal. */
function twosComplement(value: bigint): string {
  const nibbles = (value < 0n ? -value - 1n : value).toString(16);
  const signFits = nibbles.length % 2 === 1 || Number.parseInt(nibbles.slice(0, 2), 16) < 0x80;
  const count = Math.ceil(nibbles.length / 2) + (signFits ? 0 : 1);
  return BigInt.asUintN(count * 8, value)
    .toString(16)
    .padStart(count * 2, "0");
}
