const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
/** Bytes up to which a loop beats a call into the runtime. */
const SHORT = 24;

/** @throws Error where the bytes are not UTF-8. */
export function decodeText(bytes: Uint8Array, start: number, length: number): string {
  const end = start + length;
  if (length > SHORT) return decode(bytes.subarray(start, end));
  let text = "";
  for (let i = start; i < end; i++) {
    const byte = bytes[i] as number;
    if (byte >= 0x80) return decode(bytes.subarray(start, end));
    text += String.fromCharCode(byte);
  }
  return text;
}

function decode(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new Error("a str is not UTF-8, or holds half a surrogate pair.", { cause });
  }
}
