/**
 * Recognises widely used formats by their first bytes, so that an error can name intact data that
 * reached the wrong codec, instead of calling them damaged.
 *
 * @returns the format's name, such as `"gzip"`; `undefined` for any other bytes.
 */
export function knownFormat(bytes: Uint8Array): string | undefined {
  const start = String.fromCharCode(...bytes.subarray(0, LONGEST_START));
  return FORMATS.find(([, ...starts]) => starts.some((one) => beginsWith(start, one)))?.[0];
}

/** A `?` stands for any byte. */
function beginsWith(text: string, start: string): boolean {
  for (let i = 0; i < start.length; i++) {
    if (start[i] !== "?" && start[i] !== text[i]) return false;
  }
  return true;
}

/** Where one of our codecs reads the format, this is the codec's name. */
const FORMATS: readonly (readonly [name: string, ...starts: string[]])[] = [
  ["gzip", "\x1f\x8b\x08"],
  ["zlib", "\x78\x01", "\x78\x5e", "\x78\x9c", "\x78\xda"],
  ["bz2", "BZh?1AY&SY", "BZh?\x17rE8P\x90"],
  ["zstd", "\x28\xb5\x2f\xfd"],
  ["xz", "\xfd7zXZ\0"],
  ["the frame format of LZ4", "\x04\x22\x4d\x18", "\x02\x21\x4c\x18"],
  ["the framing format of Snappy", "\xff\x06\0\0sNaPpY"],
  ["the Snappy of Java", "\x82SNAPPY\0"],
  ["a frame of Blosc2", "??b2frame\0"],
  ["zip", "PK\x03\x04"],
  ["an Arrow file, and not a stream", "ARROW1\0\0"],
  ["Feather of version 1", "FEA1"],
  ["Parquet", "PAR1"],
  ["Avro", "Obj\x01"],
  ["an .npy file", "\x93NUMPY"],
  ["HDF5", "\x89HDF\r\n\x1a\n"],
];

const LONGEST_START = 10;
