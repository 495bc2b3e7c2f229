// Types of small modules: decimal, fractions, uuid and pathlib.

import {
  type Calls,
  call,
  check,
  int,
  integer,
  misused,
  PyGlobal,
  type Reducer,
  reducer,
  valid,
} from "./object.js";

/** A `decimal.Decimal`, as its text: `"1.50"`, `"NaN"`. */
export class PyDecimal {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
    check(/^-?(\d+(\.\d*)?(E[+-]?\d+)?|\.\d+|Infinity|s?NaN\d*)$/i.test(text), "no Decimal");
  }

  toString(): string {
    return this.text;
  }
}

/** A `fractions.Fraction`. */
export class PyFraction {
  readonly numerator: number | bigint;
  readonly denominator: number | bigint;

  constructor(numerator: number | bigint, denominator: number | bigint = 1) {
    this.numerator = numerator;
    this.denominator = denominator;
  }
}

/** A `uuid.UUID`. */
export class PyUuid {
  /** 32 hexadecimal digits in lower case, without hyphens. */
  readonly hex: string;

  constructor(text: string) {
    this.hex = text.replaceAll("-", "").toLowerCase();
    check(/^[0-9a-f]{32}$/.test(this.hex), "no UUID");
  }

  toString(): string {
    return this.hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  }
}

/** A path of `pathlib`. */
export class PyPath {
  readonly parts: readonly string[];
  /** Default `"PosixPath"`. */
  readonly kind: "PosixPath" | "PurePosixPath" | "WindowsPath" | "PureWindowsPath";

  constructor(
    parts: readonly string[],
    kind: "PosixPath" | "PurePosixPath" | "WindowsPath" | "PureWindowsPath" = "PosixPath",
  ) {
    this.parts = parts;
    this.kind = kind;
  }

  toString(): string {
    const separator = this.kind.endsWith("WindowsPath") ? "\\" : "/";
    const [first = "", ...rest] = this.parts;
    return first.endsWith(separator) ? first + rest.join(separator) : this.parts.join(separator);
  }
}

const PATH_KINDS = ["PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath"] as const;

export const scalarCalls: Calls = {
  "decimal.Decimal": ([text], spend) => {
    if (typeof text !== "string") throw misused("Decimal");
    spend(text.length);
    return valid("Decimal", () => new PyDecimal(text));
  },
  "fractions.Fraction": ([first, second], spend) => {
    if (typeof first !== "string") return fraction(int(first), int(second ?? 1));
    spend(first.length);
    const match = /^(-?\d+)(?:\/(\d+))?$/.exec(first);
    if (!match) throw misused("Fraction");
    return fraction(integer(match[1] as string), integer(match[2] ?? "1"));
  },
  ...Object.fromEntries(
    PATH_KINDS.map((kind) => [
      `pathlib.${kind}`,
      (parts: readonly unknown[]) => {
        if (!parts.every((part) => typeof part === "string")) throw misused(kind);
        return new PyPath(parts as string[], kind);
      },
    ]),
  ),
};

function fraction(numerator: number | bigint, denominator: number | bigint): PyFraction {
  if (Number(denominator) === 0) throw misused("Fraction");
  return new PyFraction(numerator, denominator);
}

export const scalarReducers: readonly Reducer[] = [
  reducer(PyDecimal, 1, ({ text }) => call("decimal.Decimal", text)),
  reducer(PyFraction, 2, ({ numerator, denominator }) =>
    call("fractions.Fraction", `${numerator}/${denominator}`),
  ),
  reducer(PyUuid, 1, ({ hex }) => ({
    type: new PyGlobal("uuid", "UUID"),
    args: [],
    made: true,
    state: { int: BigInt(`0x${hex}`) },
  })),
  reducer(PyPath, 2, ({ kind, parts }) => call(`pathlib.${kind}`, ...parts)),
];

/** Makes a UUID from its only attribute, an int. */
export function uuidFrom(state: unknown): PyUuid {
  const hex = BigInt(int(itemOf(state, "int"))).toString(16);
  return new PyUuid(hex.padStart(32, "0"));
}

function itemOf(dict: unknown, name: string): unknown {
  if (dict instanceof Map) return dict.get(name);
  if (typeof dict !== "object" || dict === null || !Object.hasOwn(dict, name)) {
    throw new Error("an object has not the state of its type.");
  }
  return (dict as Record<string, unknown>)[name];
}
