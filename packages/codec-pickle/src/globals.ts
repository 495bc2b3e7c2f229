import { PartdError } from "@partd/core";
import { PyDateTime, PyTuple } from "./python-types.js";

/** Something a pickle may use to make a value, but that is no value itself. */
export class Part {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

/** A name that a pickle may look up, and what calling it makes. Nothing but these is known. */
export class Global extends Part {
  readonly call: (args: readonly unknown[], spend: (bytes: number) => void) => unknown;

  constructor(name: string, call: Global["call"]) {
    super(name);
    this.call = call;
  }
}

/** @throws `ERR_PARTD_CODEC` for every other name. */
export function findGlobal(module: string, name: string): Global {
  const found = GLOBALS.get(`${module}.${name}`);
  if (found) return found;
  throw new PartdError(
    "ERR_PARTD_CODEC",
    `the pickle asks for ${JSON.stringify(`${module}.${name}`.slice(0, 100))}, which is no plain data; convert it in Python, for example with list, dict or str.`,
  );
}

class TimeDelta extends Part {
  readonly seconds: number;

  constructor(seconds: number) {
    super("datetime.timedelta");
    this.seconds = seconds;
  }
}

class TimeZone extends Part {
  readonly utcOffset: number;
  readonly zone: string | undefined;

  constructor(utcOffset: number, zone: string | undefined) {
    super("datetime.timezone");
    this.utcOffset = utcOffset;
    this.zone = zone;
  }
}

const GLOBALS = new Map<string, Global>();

function allow(names: readonly string[], call: Global["call"]): void {
  for (const name of names) GLOBALS.set(name, new Global(name, call));
}

// Protocol 2 has no opcode for bytes, and 2 and 3 have none for sets.
allow(["_codecs.encode"], ([text, encoding], spend) => {
  if (typeof text !== "string" || !/^latin-?1$/.test(String(encoding))) throw misused("encode");
  spend(text.length);
  return latin1(text);
});
allow(["__builtin__.bytes", "builtins.bytes"], (args) => {
  if (args.length > 0) throw misused("bytes");
  return new Uint8Array();
});
allow(["__builtin__.bytearray", "builtins.bytearray"], ([source, encoding], spend) => {
  if (source === undefined) return new Uint8Array();
  if (source instanceof Uint8Array) {
    spend(source.byteLength);
    return source.slice();
  }
  if (typeof source !== "string" || !/^latin-?1$/.test(String(encoding)))
    throw misused("bytearray");
  spend(source.length);
  return latin1(source);
});
allow(
  ["__builtin__.set", "builtins.set", "__builtin__.frozenset", "builtins.frozenset"],
  ([items], spend) => {
    if (items === undefined) return new Set();
    if (!Array.isArray(items)) throw misused("set");
    spend(items.length);
    return new Set<unknown>(items);
  },
);
allow(["datetime.timedelta"], ([days = 0, seconds = 0, microseconds = 0]) => {
  if (!Number.isInteger(days) || !Number.isInteger(seconds) || microseconds !== 0) {
    throw misused("timedelta");
  }
  return new TimeDelta((days as number) * 86_400 + (seconds as number));
});
allow(["datetime.timezone"], ([offset, zone]) => {
  const valid = offset instanceof TimeDelta && Math.abs(offset.seconds) < 86_400;
  if (!valid || !(zone === undefined || typeof zone === "string")) throw misused("timezone");
  return new TimeZone(offset.seconds, zone);
});
allow(["datetime.datetime"], ([state, zone]) => {
  const packed = typeof state === "string" ? latin1(state) : state;
  if (!(packed instanceof Uint8Array) || packed.byteLength !== 10) throw misused("datetime");
  if (zone !== undefined && !(zone instanceof TimeZone)) throw misused("datetime");
  return readDateTime(packed, zone);
});

/** Year, month, day, hour, minute, second and microsecond in 2, 1, 1, 1, 1, 1 and 3 bytes. */
function readDateTime(packed: Uint8Array, zone: TimeZone | undefined): Date {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  const at = (index: number) => view.getUint8(index);
  const fold = at(2) >= 0x80;
  const month = at(2) & 0x7f;
  const micros = at(7) * 0x10000 + view.getUint16(8);
  const wall = new Date(0);
  wall.setUTCFullYear(view.getUint16(0), month - 1, at(3));
  wall.setUTCHours(at(4), at(5), at(6), Math.floor(micros / 1000));
  const valid =
    view.getUint16(0) >= 1 &&
    view.getUint16(0) <= 9999 &&
    wall.getUTCMonth() === month - 1 &&
    wall.getUTCDate() === at(3) &&
    at(4) < 24 &&
    at(5) < 60 &&
    at(6) < 60 &&
    micros < 1e6;
  if (!valid) throw misused("datetime");
  const time = wall.getTime() - (zone?.utcOffset ?? 0) * 1000;
  const microsecond = micros % 1000;
  const plain = zone?.utcOffset === 0 && zone.zone === undefined && microsecond === 0 && !fold;
  if (plain) return new Date(time);
  return new PyDateTime(time, { microsecond, utcOffset: zone?.utcOffset, zone: zone?.zone, fold });
}

function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => {
    const code = character.charCodeAt(0);
    if (code > 0xff) throw misused("encode");
    return code;
  });
}

function misused(name: string): Error {
  return new Error(`the pickle calls ${name} with arguments that it does not take.`);
}

/** The arguments of a call, which are a tuple. */
export function argumentsOf(value: unknown): readonly unknown[] {
  if (value instanceof PyTuple) return value;
  throw new Error("the pickle calls something without a tuple of arguments.");
}
