/** An integer in as few bytes as hold its sign, too: hexadecimal, the highest byte first. */
export function twosComplement(value: bigint): string {
  const nibbles = (value < 0n ? -value - 1n : value).toString(16);
  const signFits = nibbles.length % 2 === 1 || Number.parseInt(nibbles.slice(0, 2), 16) < 0x80;
  const count = Math.ceil(nibbles.length / 2) + (signFits ? 0 : 1);
  return BigInt.asUintN(count * 8, value)
    .toString(16)
    .padStart(count * 2, "0");
}
