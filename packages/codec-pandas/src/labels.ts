import { PyTuple } from "@partd/codec-pickle";
import { refuse } from "./column.js";
import {
  labelledObject,
  type ObjectLabel,
  objectLabel,
  objectShown,
  objectText,
} from "./object-labels.js";

/** A label of Python in a form that JSON carries: a tuple is a list. */
export type Label =
  | string
  | number
  | boolean
  | null
  | readonly Label[]
  | { readonly int: string }
  | { readonly float: string }
  | { readonly bytes: readonly number[] }
  | ObjectLabel;

/** The type of the labels of one level. */
export interface LevelType {
  /** `numpy.dtype.str` of the labels, or of the objects if they are objects; of the categories, if it has some. */
  readonly dtype: string;
  /** All categories of a categorical level, those that no column has included. */
  readonly categories?: readonly Label[] | undefined;
  readonly ordered?: boolean | undefined;
}

/** The labels of a frame's columns: of one level, or tuples of the levels of a MultiIndex. */
export interface Labels extends LevelType {
  /** The name of each level. */
  readonly names: readonly Label[];
  /** The zone of dates. */
  readonly timezone?: string | undefined;
  /** One for each column; the ticks of dates are strings, unless they are categories. */
  readonly labels: readonly Label[];
  /** Set for a RangeIndex. */
  readonly range?: { readonly start: number; readonly step: number } | undefined;
  /** Set for a MultiIndex. */
  readonly levels?: readonly LevelType[] | undefined;
}

/** A Python label in this form; `undefined` if JSON cannot hold it. */
export function labelOf(value: unknown): Label | undefined {
  switch (typeof value) {
    case "string":
      return value.isWellFormed() ? value : undefined;
    case "boolean":
      return value;
    case "bigint":
      return Number.isSafeInteger(Number(value)) ? Number(value) : { int: String(value) };
    case "number":
      return Number.isFinite(value) && !Object.is(value, -0)
        ? value
        : { float: value === 0 ? "-0" : String(value) };
    default:
      if (value === null) return null;
      if (value instanceof Uint8Array) return { bytes: [...value] };
      if (!(value instanceof PyTuple)) return objectLabel(value);
      return allOf(Array.from(value as Iterable<unknown>, labelOf));
  }
}

function allOf(labels: readonly (Label | undefined)[]): Label | undefined {
  return labels.includes(undefined) ? undefined : (labels as readonly Label[]);
}

/** The Python value of a label. Labels of other types, in metadata from elsewhere, are refused. */
export function pythonLabel(label: unknown): unknown {
  if (Array.isArray(label)) return PyTuple.from(label.map(pythonLabel));
  if (typeof label !== "object" || label === null) return label;
  if ("int" in label && /^-?\d+$/.test(String(label.int))) return BigInt(String(label.int));
  if ("float" in label) return Number(label.float);
  if ("bytes" in label && Array.isArray(label.bytes)) return Uint8Array.from(label.bytes);
  const object = labelledObject(label);
  if (object !== undefined) return object;
  throw refuse("", "the metadata of pandas hold a label of no known form");
}

/** The text of a label, as Python prints it. */
export function textOf(label: Label): string {
  if (typeof label === "string") return label;
  if (isObject(label)) return objectText(label);
  if (Array.isArray(label))
    return `(${label.map(shown).join(", ")}${label.length === 1 ? "," : ""})`;
  return shown(label);
}

function shown(label: Label): string {
  if (typeof label === "string") return label.includes("'") ? JSON.stringify(label) : `'${label}'`;
  if (label === null) return "None";
  if (typeof label === "boolean") return label ? "True" : "False";
  if (typeof label === "number") return String(label);
  if (Array.isArray(label)) return textOf(label);
  if ("int" in label) return label.int;
  if ("float" in label)
    return label.float === "NaN" ? "nan" : label.float.replace("Infinity", "inf");
  if (isObject(label)) return objectShown(label);
  const bytes = (label as { bytes: readonly number[] }).bytes;
  return `b'${String.fromCharCode(...bytes)}'`;
}

function isObject(label: Label): label is ObjectLabel {
  if (typeof label !== "object" || label === null || Array.isArray(label)) return false;
  return !("int" in label || "float" in label || "bytes" in label);
}
