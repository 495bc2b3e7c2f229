import {
  PyDtype,
  PyGlobal,
  PyNdArray,
  PyObject,
  PyTimeDelta,
  PyTimeZone,
  PyTuple,
  pyTuple,
} from "@partd/codec-pickle";
import { type Data, makeData, Vector } from "apache-arrow";
import { itemSizeOf, refuse, toColumn, type Values } from "./column.js";
import { Damage } from "./damage.js";

/**
 * Converts a NumPy array, or one of pandas' own arrays, to a column. The rows of a matrix follow
 * one another.
 */
export function arrayColumn(array: unknown, name: string): Vector {
  if (array instanceof PyNdArray) return toColumn(valuesOf(array), name);
  if (!(array instanceof PyObject))
    throw new Damage(`the column ${JSON.stringify(name)} is not an array.`);
  const type = `${array.type}`;
  if (type.endsWith("__pyx_unpickle_NDArrayBacked") && array.state instanceof PyTuple) {
    const [dtype, values] = array.state as [unknown, unknown];
    if (!(values instanceof PyNdArray))
      throw new Damage(`the column ${JSON.stringify(name)} has no values.`);
    switch (`${array.args[0]}`.split(".").at(-1)) {
      case "DatetimeArray":
      case "TimedeltaArray": {
        const tz = dtype instanceof PyObject ? itemOf(dtype.state, "tz") : undefined;
        return toColumn(valuesOf(values), name, {
          timezone: tz === undefined ? undefined : zoneName(tz, name),
        });
      }
      case "Categorical": {
        const state = dtype instanceof PyObject ? dtype.state : undefined;
        const categories = indexValues(itemOf(state, "categories"), name);
        return toColumn(valuesOf(values), name, {
          categories,
          ordered: itemOf(state, "ordered") === true,
        });
      }
      case "StringArray":
        return toColumn(valuesOf(values), name);
    }
  }
  if (/\.(Integer|Floating|Boolean)Array$/.test(type)) return maskedColumn(array, name);
  throw refuse(name, `a ${array.args[0] ?? type} has no Arrow type here`);
}

/** Converts a pickled Index, or a NumPy array, to a column. */
export function indexValues(index: unknown, name: string): Vector {
  if (!(index instanceof PyObject)) return arrayColumn(index, name);
  const state = index.args[1];
  const data = itemOf(state, "data");
  if (data === undefined) throw refuse(name, `a ${index.args[0]} has no Arrow type here`);
  const categorical = itemOf(state, "dtype");
  // Each category once, as it is written here; Python pickles a Categorical.
  if (categorical instanceof PyObject && categorical.args[0] === data) {
    const categories = indexValues(data, name);
    const codes = Int32Array.from({ length: categories.length }, (_, code) => code);
    const values = { dtype: "<i4", data: new Uint8Array(codes.buffer) };
    return toColumn(values, name, { categories, ordered: categorical.args[1] === true });
  }
  const column = arrayColumn(data, name);
  const tz = itemOf(state, "tz");
  if (tz === undefined || tz === null || !(data instanceof PyNdArray)) return column;
  return toColumn(valuesOf(data), name, { timezone: zoneName(tz, name) });
}

function maskedColumn(array: PyObject, name: string): Vector {
  const values = itemOf(array.state, "_data");
  const mask = itemOf(array.state, "_mask");
  if (!(values instanceof PyNdArray) || !(mask instanceof PyNdArray))
    throw new Damage(`the column ${JSON.stringify(name)} has no values.`);
  const column = toColumn(valuesOf(values), name);
  const [data] = column.data as readonly [Data];
  const masked = mask.data as Uint8Array;
  const nullBitmap = new Uint8Array(((data.length + 63) >> 6) << 3);
  let nullCount = 0;
  for (let i = 0; i < data.length; i++) {
    if (masked[i]) nullCount++;
    else nullBitmap[i >> 3] = (nullBitmap[i >> 3] as number) | (1 << (i & 7));
  }
  return new Vector([
    makeData({
      type: data.type,
      length: data.length,
      nullCount,
      nullBitmap,
      data: data.values,
    } as never),
  ]);
}

/** The items in row order, whatever the order of the array. */
export function valuesOf({ dtype, shape, data, fortran }: PyNdArray): Values {
  const text = dtype.text.replace(/O8$/, "O");
  const [rows = 1, columns = 1] = shape;
  if (!fortran || shape.length < 2 || rows === 1) return { dtype: text, data };
  const size = Array.isArray(data) ? 1 : (data as Uint8Array).byteLength / (rows * columns);
  const turned = data.slice() as Uint8Array;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const [from, to] = [(column * rows + row) * size, (row * columns + column) * size];
      for (let i = 0; i < size; i++) turned[to + i] = (data as Uint8Array)[from + i] as number;
    }
  }
  return { dtype: text, data: turned };
}

/** The values as a NumPy array of one dimension. */
export function pyArray({ dtype, data }: Values): PyNdArray {
  const length = Array.isArray(data) ? data.length : data.length / itemSizeOf(dtype);
  return new PyNdArray(new PyDtype(dtype === "|O" ? "|O8" : dtype), [length], data);
}

/** The name of a time zone that `pytz`, `zoneinfo` or `datetime` pickled, or `dateutil`'s UTC. */
export function zoneName(tz: unknown, name: string): string {
  const text = (value: unknown) => (typeof value === "string" ? value : undefined);
  if (tz instanceof PyObject) {
    const type = `${tz.type}`;
    if (type === "pytz._UTC" || type === "dateutil.tz.tz.tzutc") return "UTC";
    if (type === "pytz._p" || type.startsWith("zoneinfo.ZoneInfo")) {
      const zone = text(tz.args[0]);
      if (zone !== undefined) return zone;
    }
  }
  const minutes = offsetOf(tz);
  if (minutes === 0) return "UTC";
  const size = Math.abs(minutes ?? Number.NaN);
  if (!(Number.isInteger(size) && size < 1440)) throw refuse(name, "its time zone has no name");
  const pad = (value: number) => String(value).padStart(2, "0");
  return `${(minutes as number) < 0 ? "-" : "+"}${pad(Math.floor(size / 60))}:${pad(size % 60)}`;
}

/** The minutes east of UTC of a zone without a name; pandas reads texts with an offset as `pytz`'s. */
function offsetOf(tz: unknown): number | undefined {
  if (tz instanceof PyObject) {
    const [minutes] = `${tz.type}` === "pytz.FixedOffset" ? tz.args : [];
    return typeof minutes === "number" ? minutes : undefined;
  }
  if (typeof tz !== "object" || tz === null || !("offset" in tz)) return undefined;
  return (tz.offset as { totalSeconds(): number }).totalSeconds() / 60;
}

export function pickledZone(timezone: string): unknown {
  const offset = /^([+-])(\d\d):(\d\d)$/.exec(timezone);
  if (offset) {
    const [, sign, hours, minutes] = offset;
    const seconds = (Number(hours) * 3600 + Number(minutes) * 60) * (sign === "-" ? -1 : 1);
    const days = Math.floor(seconds / 86_400);
    return new PyTimeZone(new PyTimeDelta(days, seconds - days * 86_400));
  }
  if (timezone === "UTC") return new PyObject(new PyGlobal("pytz", "_UTC"), pyTuple());
  return new PyObject(new PyGlobal("pytz", "_p"), pyTuple(timezone));
}

export function itemOf(dict: unknown, name: string): unknown {
  if (dict instanceof Map) return dict.get(name);
  if (typeof dict !== "object" || dict === null || !Object.hasOwn(dict, name)) return undefined;
  return (dict as Record<string, unknown>)[name];
}
