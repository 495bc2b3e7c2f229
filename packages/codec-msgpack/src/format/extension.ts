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

/**
 * Encodes a Date in the shortest of the three forms (MessagePack specification, "Timestamp
 * extension type").
 */
export function encodeTimestamp(date: Date): Uint8Array {
  const ms = Date.prototype.getTime.call(date); // Not by a method that the object may have of its own.
  if (Number.isNaN(ms)) {
    throw new PartdError("ERR_PARTD_CODEC", "an invalid Date cannot be carried.");
  }
  const seconds = Math.floor(ms / 1000);
  const nanoseconds = (ms - seconds * 1000) * 1e6;
  const inUnsigned34 = seconds >= 0 && seconds < 2 ** 34;
  const short = inUnsigned34 && nanoseconds === 0 && seconds < 2 ** 32;
  const bytes = new Uint8Array(short ? 4 : inUnsigned34 ? 8 : 12);
  const view = new DataView(bytes.buffer);
  if (short) {
    view.setUint32(0, seconds);
  } else if (inUnsigned34) {
    view.setBigUint64(0, (BigInt(nanoseconds) << 34n) | BigInt(seconds));
  } else {
    view.setUint32(0, nanoseconds);
    view.setBigInt64(4, BigInt(seconds));
  }
  return bytes;
}

/** Whether bytes are one of the three forms, with less than a second of nanoseconds. */
export function isTimestamp(bytes: Uint8Array): boolean {
  if (bytes.byteLength === 4) return true;
  if (bytes.byteLength !== 8 && bytes.byteLength !== 12) return false;
  const head = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
  return (bytes.byteLength === 8 ? head >>> 2 : head) < 1e9;
}

/**
 * Decodes bytes for which {@link isTimestamp} is true. `undefined` if a Date, which counts whole
 * milliseconds, cannot be exact.
 */
export function decodeTimestamp(bytes: Uint8Array): Date | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let seconds: number;
  let nanoseconds = 0;
  if (bytes.byteLength === 4) {
    seconds = view.getUint32(0);
  } else if (bytes.byteLength === 8) {
    const both = view.getBigUint64(0);
    nanoseconds = Number(both >> 34n);
    seconds = Number(both & 0x3_ffff_ffffn);
  } else {
    nanoseconds = view.getUint32(0);
    seconds = Number(view.getBigInt64(4));
  }
  const date = new Date(seconds * 1000 + nanoseconds / 1e6);
  return nanoseconds % 1e6 === 0 && !Number.isNaN(date.getTime()) ? date : undefined;
}
