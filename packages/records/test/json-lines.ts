import fc from "fast-check";

/** Lines that are JSON, nearly JSON, or no text at all, without a newline inside. */
export function jsonLine(names: readonly string[]): fc.Arbitrary<Uint8Array> {
  return fc
    .record({
      text: jsonText(names),
      faults: fc.oneof(
        { weight: 2, arbitrary: fc.constant([]) },
        fc.array(fault, { maxLength: 2 }),
      ),
    })
    .map(({ text, faults }) => {
      let bytes: Uint8Array = encoder.encode(text);
      for (const { at, cut, put } of faults) {
        const from = Math.floor(at * bytes.length);
        bytes = Buffer.concat([bytes.subarray(0, from), put, bytes.subarray(from + cut)]);
      }
      return bytes.filter((byte) => byte !== 0x0a);
    });
}

const encoder = new TextEncoder();
const space = fc.constantFrom("", "", "", " ", "\t", "\r", "  ");

function jsonText(names: readonly string[]): fc.Arbitrary<string> {
  const name = fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...names.map((n) => JSON.stringify(n))) },
    { weight: 1, arbitrary: fc.constantFrom('"us\\u0065r"', '"\\u0061"', '"\\/"', '"__proto__"') },
    { weight: 1, arbitrary: string },
  );
  const { value } = fc.letrec<{ value: string; list: string; object: string }>((tie) => ({
    value: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      scalar,
      tie("object"),
      tie("list"),
    ),
    list: fc
      .tuple(fc.array(fc.tuple(space, tie("value"), space), { maxLength: 4 }), space)
      .map(([items, empty]) => `[${items.length > 0 ? items.map((i) => i.join("")) : empty}]`),
    object: fc
      .tuple(
        fc.array(fc.tuple(space, name, space, fc.constant(":"), space, tie("value"), space), {
          maxLength: 5,
        }),
        space,
      )
      .map(([items, empty]) => `{${items.length > 0 ? items.map((i) => i.join("")) : empty}}`),
  }));
  const record = fc
    .array(fc.tuple(space, name, space, fc.constant(":"), space, value, space), { maxLength: 5 })
    .map((items) => `{${items.map((i) => i.join("")).join(",")}}`);
  const line = fc.oneof({ weight: 8, arbitrary: record }, { weight: 1, arbitrary: value });
  return fc.tuple(space, line, space).map((parts) => parts.join(""));
}

const string = fc.oneof(
  fc.string({ maxLength: 40 }).map((text) => JSON.stringify(text)),
  fc.string({ unit: "grapheme", maxLength: 20 }).map((text) => JSON.stringify(text)),
  fc
    .array(
      fc.constantFrom(
        ...["\\u00e4", "\\u001f", "\\ud83d\\ude00", "\\ud800", "\\/", "\\\\", '\\"', "\\b", "\\f"],
        ...["\\n", "\\r", "\\t", "a", "ä", "\u{1f600}", "\u2028", "\u007f", "x".repeat(17)],
      ),
      { maxLength: 6 },
    )
    .map((parts) => `"${parts.join("")}"`),
);

const number = fc.oneof(
  fc.constantFrom(
    ...[
      "0",
      "-0",
      "1",
      "1.0",
      "1e0",
      "10e-1",
      "12.5E-3",
      "1E+2",
      "-0.0",
      "0e0",
      "1.5",
      "100",
      "0.10",
    ],
    ...["9007199254740992", "9007199254740993", "123456789012345678901", "1e21", "1e400", "-1e400"],
    ...["1e-400", "0.000001", "0.0000001", "0.1", "5e-324", "0.30000000000000004"],
  ),
  fc.integer().map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.tuple(fc.integer(), fc.nat({ max: 9_999_999 })).map(([a, b]) => `${a}.${b}`),
  fc.bigInt({ min: -(10n ** 20n), max: 10n ** 20n }).map(String),
);

const wrong = fc.constantFrom(
  ...["01", "1.", "-", ".5", "1e", "+1", "-01", "NaN", "Infinity", "tru", "nulll", "True", "'a'"],
  ...[
    '"\\x"',
    '"\\u12"',
    '"\\"',
    '"\u0001"',
    '"\t"',
    '"',
    "\ufeff1",
    "\u00a0",
    "undefined",
    "\u2028",
  ],
);

const scalar = fc.oneof(
  { weight: 10, arbitrary: string },
  { weight: 10, arbitrary: number },
  { weight: 5, arbitrary: fc.constantFrom("true", "false", "null") },
  { weight: 1, arbitrary: wrong },
);

/** Cuts some bytes out and puts others in. */
const fault = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  cut: fc.nat({ max: 2 }),
  put: fc.oneof(
    fc
      .constantFrom(
        ...['"', "\\", "{", "}", "[", "]", ",", ":", "0", "e", "-", ".", " ", "\0", "t"],
      )
      .map((c) => Buffer.from(c)),
    fc.uint8Array({ maxLength: 2 }).map((bytes) => Buffer.from(bytes)),
    fc.constant(Buffer.alloc(0)),
  ),
});
