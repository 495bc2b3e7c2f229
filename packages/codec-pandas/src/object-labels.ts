import { PyDate, PyGlobal, PyNdArray, PyObject, PyTuple, pyTuple } from "@partd/codec-pickle";
import { itemOf, pickledZone, zoneName } from "./pickled-array.js";

/** A label of Python that is a date or the like, in a form that JSON carries. */
export type ObjectLabel =
  /** Nanoseconds since 1970, and the zone of an instant. */
  | { readonly timestamp: string; readonly zone?: string | undefined }
  | { readonly timedelta: string }
  /** Counts periods of the frequency, of which the one of 1970-01-01 is 0. */
  | { readonly period: string; readonly freq: Frequency }
  | { readonly date: readonly [year: number, month: number, day: number] }
  | { readonly missing: "NaT" | "NA" };

/** The class of pandas' offset and its arguments, of which the first is the multiple. */
export type Frequency = readonly [name: string, ...args: (number | boolean)[]];

/** The label of a Python object in this form; `undefined` for objects of other types. */
export function objectLabel(value: unknown): ObjectLabel | undefined {
  if (value instanceof PyDate) return { date: [value.year, value.month, value.day] };
  if (value instanceof PyGlobal) return `${value}` === `${NA}` ? { missing: "NA" } : undefined;
  if (!(value instanceof PyObject)) return undefined;
  const [first, second, third, resolution = NANOSECONDS] = value.args as unknown as unknown[];
  switch (`${value.type}`) {
    case `${NAT}`:
      return { missing: "NaT" };
    case "pandas._libs.tslibs.timestamps._unpickle_timestamp":
      if (resolution !== NANOSECONDS) return undefined;
      return timestampLabel(first, third ?? undefined);
    case `${TIMEDELTA}`:
    case "pandas._libs.tslibs.timedeltas._timedelta_unpickle":
      return (second ?? NANOSECONDS) === NANOSECONDS ? { timedelta: String(first) } : undefined;
    case `${PERIOD}`: {
      const freq = frequencyOf(second);
      return freq && { period: String(third), freq };
    }
    default:
      return undefined;
  }
}

function timestampLabel(ticks: unknown, zone: unknown): ObjectLabel {
  const timestamp = String(ticks);
  return zone === undefined ? { timestamp } : { timestamp, zone: zoneName(zone, timestamp) };
}

/** The form of a pickled frequency; `undefined` for one of a calendar with holidays and the like. */
export function frequencyOf(offset: unknown): Frequency | undefined {
  if (!(offset instanceof PyObject) || offset.type.module !== OFFSETS) return undefined;
  const freq = [offset.type.name, ...offset.args] as unknown as Frequency;
  return isKnown(freq) ? freq : undefined;
}

/** The Python object of a label, if it is in this form; `undefined` if it is not. */
export function labelledObject(label: object): unknown {
  const { timestamp, zone, timedelta, period, freq, date, missing } = label as Partial<
    Record<string, unknown>
  >;
  if (isTicks(timestamp)) {
    const tz = typeof zone === "string" ? pickledZone(zone) : null;
    return new PyObject(TIMESTAMP, pyTuple(BigInt(timestamp), null, tz));
  }
  if (isTicks(timedelta)) return new PyObject(TIMEDELTA, pyTuple(BigInt(timedelta)));
  if (isTicks(period) && Array.isArray(freq) && isKnown(freq as unknown as Frequency)) {
    const offset = pickledFrequency(freq as unknown as Frequency);
    return new PyObject(PERIOD, pyTuple(null, offset, BigInt(period)));
  }
  if (Array.isArray(date) && date.length === 3) {
    return new PyDate(...(date.map(Number) as [number, number, number]));
  }
  if (missing === "NA") return NA;
  return missing === "NaT" ? new PyObject(NAT, pyTuple(null)) : undefined;
}

/** Periods of one frequency as an index of pandas. */
export function pickledPeriods(ordinals: PyNdArray, freq: Frequency, name: unknown): PyObject {
  const type = new PyGlobal("pandas.core.indexes.period", "PeriodIndex");
  const make = new PyGlobal("pandas.core.indexes.base", "_new_Index");
  return new PyObject(make, pyTuple(type, { data: ordinals, freq: pickledFrequency(freq), name }));
}

/** The labels of a pickled `PeriodIndex`, of pandas or of {@link pickledPeriods}; `undefined` for others. */
export function periodLabels(index: unknown): (ObjectLabel | null)[] | undefined {
  if (!(index instanceof PyObject)) return undefined;
  const [type, state] = index.args;
  if (!`${type}`.endsWith(".PeriodIndex")) return undefined;
  let ordinals = itemOf(state, "data");
  let offset = itemOf(state, "freq");
  if (ordinals instanceof PyObject && ordinals.state instanceof PyTuple) {
    const [dtype, values] = ordinals.state as unknown as [unknown, unknown];
    offset = dtype instanceof PyObject ? dtype.args[0] : undefined;
    ordinals = values;
  }
  const freq = frequencyOf(offset);
  if (freq === undefined || !(ordinals instanceof PyNdArray)) return undefined;
  const bytes = new Uint8Array(ordinals.data as Uint8Array);
  if (bytes.byteLength % 8 !== 0) return undefined;
  return Array.from(new BigInt64Array(bytes.buffer), (ordinal) =>
    ordinal === NO_TIME ? null : { period: String(ordinal), freq },
  );
}

/** The text of such a label, as Python's `str` gives it; instants with a zone in UTC. */
export function objectText(label: ObjectLabel): string {
  if ("missing" in label) return label.missing === "NA" ? "<NA>" : "NaT";
  if ("date" in label) return label.date.map((part) => pad(part)).join("-");
  if ("timestamp" in label) {
    return `${momentText(BigInt(label.timestamp))}${label.zone === undefined ? "" : "+00:00"}`;
  }
  if ("timedelta" in label) return durationText(BigInt(label.timedelta));
  return periodText(label.period, label.freq);
}

/** The same as Python's `repr` gives it, for tuples. */
export function objectShown(label: ObjectLabel): string {
  const text = objectText(label);
  if ("missing" in label) return text;
  if ("date" in label) return `datetime.date(${label.date.join(", ")})`;
  if ("timestamp" in label) return `Timestamp('${text}')`;
  return "timedelta" in label
    ? `Timedelta('${text}')`
    : `Period('${text}', '${frequencyText(label.freq)}')`;
}

const OFFSETS = "pandas._libs.tslibs.offsets";
const NAT = new PyGlobal("pandas._libs.tslibs.nattype", "__nat_unpickle");
const NA = new PyGlobal("pandas._libs.missing", "NA");
const TIMESTAMP = new PyGlobal("pandas._libs.tslibs.timestamps", "_unpickle_timestamp");
const TIMEDELTA = new PyGlobal("pandas._libs.tslibs.timedeltas", "Timedelta");
const PERIOD = new PyGlobal("pandas._libs.tslibs.period", "Period");
/** NumPy's number for nanoseconds. */
const NANOSECONDS = 10;
const NO_TIME = -(2n ** 63n);

/** pandas' letters of the frequencies without a month or weekday, and the nanoseconds of the short ones. */
const LETTERS: ReadonlyMap<string, readonly [letter: string, nanoseconds?: bigint]> = new Map([
  ["YearEnd", ["A"]],
  ["QuarterEnd", ["Q"]],
  ["MonthEnd", ["M"]],
  ["Week", ["W"]],
  ["Day", ["D", 86_400_000_000_000n]],
  ["Hour", ["H", 3_600_000_000_000n]],
  ["Minute", ["T", 60_000_000_000n]],
  ["Second", ["S", 1_000_000_000n]],
  ["Milli", ["L", 1_000_000n]],
  ["Micro", ["U", 1000n]],
  ["Nano", ["N", 1n]],
]);
const MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];

function isKnown([name, ...args]: Frequency): boolean {
  const areSimple = args.every((arg) => typeof arg === "number" || typeof arg === "boolean");
  return LETTERS.has(name) && areSimple && args.length <= 3;
}

function isTicks(text: unknown): text is string {
  return typeof text === "string" && /^-?\d{1,20}$/.test(text);
}

function pickledFrequency([name, ...args]: Frequency): PyObject {
  return new PyObject(new PyGlobal(OFFSETS, name), PyTuple.from(args));
}

function frequencyText([name, multiple = 1, , anchor]: Frequency): string {
  const [letter] = LETTERS.get(name) as readonly [string];
  const names = name === "Week" ? WEEKDAYS : ["", ...MONTHS];
  const suffix = anchor === undefined ? "" : `-${names[Number(anchor)]}`;
  return `${multiple === 1 ? "" : multiple}${letter}${suffix}`;
}

function periodText(ordinal: string, [name, , , anchor]: Frequency): string {
  const count = Number(ordinal);
  switch (name) {
    case "YearEnd":
      return String(1970 + count);
    case "QuarterEnd":
      return `${1970 + Math.floor(count / 4)}Q${(((count % 4) + 4) % 4) + 1}`;
    case "MonthEnd":
      return `${1970 + Math.floor(count / 12)}-${pad((((count % 12) + 12) % 12) + 1)}`;
    case "Week": {
      // Week 1 ends on the first such weekday of 1970.
      const end = count * 7 + ((Number(anchor) + 1) % 7) - 4;
      return `${dayText(end - 6)}/${dayText(end)}`;
    }
    default: {
      const [, nanoseconds = 1n] = LETTERS.get(name) as readonly [string, bigint?];
      const text = momentText(BigInt(ordinal) * nanoseconds, DIGITS[name]);
      return text.slice(0, LENGTHS[name]);
    }
  }
}

/** Characters of the moment that a period shows, and digits of its fraction. */
const LENGTHS: Readonly<Record<string, number>> = { Day: 10, Hour: 16, Minute: 16 };
const DIGITS: Readonly<Record<string, number>> = { Milli: 3, Micro: 6, Nano: 9 };

function dayText(days: number): string {
  return momentText(BigInt(days) * 86_400_000_000_000n).slice(0, 10);
}

/** @param digits of the fraction; by default as many as it has, 0, 6 or 9. */
function momentText(nanoseconds: bigint, digits?: number): string {
  const fraction = ((nanoseconds % SECOND) + SECOND) % SECOND;
  const date = new Date(Number((nanoseconds - fraction) / 1_000_000n));
  if (Number.isNaN(date.getTime())) return String(nanoseconds);
  const seconds = date.toISOString().slice(0, -5).replace("T", " ");
  return `${seconds}${fractionText(fraction, digits)}`;
}

function durationText(nanoseconds: bigint): string {
  const days = nanoseconds / DAY - (nanoseconds % DAY < 0n ? 1n : 0n);
  const rest = nanoseconds - days * DAY;
  const [hours, minutes, seconds] = [rest / (3600n * SECOND), rest / (60n * SECOND), rest / SECOND];
  const time = [hours, minutes % 60n, seconds % 60n].map((part) => pad(Number(part))).join(":");
  const sign = days < 0n ? "+" : "";
  return `${days} days ${sign}${time}${fractionText(rest % SECOND)}`;
}

const SECOND = 1_000_000_000n;
const DAY = 86_400n * SECOND;

function fractionText(fraction: bigint, digits?: number): string {
  const shown = digits ?? (fraction === 0n ? 0 : fraction % 1000n === 0n ? 6 : 9);
  return shown === 0 ? "" : `.${String(fraction).padStart(9, "0").slice(0, shown)}`;
}

function pad(part: number): string {
  return String(part).padStart(2, "0");
}
