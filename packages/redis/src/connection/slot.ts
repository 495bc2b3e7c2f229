/**
 * The slot of one of our keys: CRC-16 (XMODEM) of what is between its braces. Source: the Redis
 * cluster specification, appendix A.
 */
export function slotOf(key: string): number {
  let crc = 0;
  for (const byte of Buffer.from(key.slice(key.indexOf("{") + 1, key.indexOf("}")))) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
  }
  return crc % 16_384;
}
