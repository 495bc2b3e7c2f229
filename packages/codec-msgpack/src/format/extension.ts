import { PartdError } from "@partd/core";

/**
 * Carries values of your own types as an extension type of MessagePack (specification, "Extension
 * types"), under a number that writer and reader agree on.
 */
export interface Extension<T = unknown> {
  /** 0 to 127: the specification reserves negative numbers. */
  readonly type: number;
  /** The bytes of an object of this type, or `undefined` for any other object. */
  encode(value: object): Uint8Array | undefined;
  /** The value of bytes that {@link encode} returned. */
  decode(bytes: Uint8Array): T;
}

/** A value of an extension type that no {@link Extension} reads. It is written unchanged. */
export class Ext {
  /** -128 to 127. */
  readonly type: number;
  readonly data: Uint8Array;

  /** Keeps other codecs from taking it for a plain object. */
  get [Symbol.toStringTag](): string {
    return "Ext";
  }

  /** @throws `ERR_PARTD_VALUE` for a type out of range. */
  constructor(type: number, data: Uint8Array) {
    if (!Number.isInteger(type) || type < -128 || type > 127) {
      throw new PartdError(
        "ERR_PARTD_VALUE",
        `An extension type is an integer from -128 to 127, not ${type}.`,
      );
    }
    this.type = type;
    this.data = data;
  }
}

/** The standard's own extension: seconds and nanoseconds since 1970. */
export const TIMESTAMP = -1;

/** Whether bytes are one of the three forms, with less than a second of nanoseconds. */
export function isTimestamp(bytes: Uint8Array): boolean {
  if (bytes.byteLength === 4) return true;
  if (bytes.byteLength !== 8 && bytes.byteLength !== 12) return false;
  const head = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
  return (bytes.byteLength === 8 ? head >>> 2 : head) < 1e9;
}
