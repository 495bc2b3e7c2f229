/** The place of a member of a JSON object in its bytes. */
export interface Member {
  readonly name: string;
  readonly nameStart: number;
  readonly nameEnd: number;
  readonly valueStart: number;
  readonly valueEnd: number;
}

/**
 * The members of an object in a line of NDJSON, so that they can be left out or combined without
 * changing how values are written. The line must be valid JSON.
 *
 * @returns `undefined` if the line is not an object.
 */
export function membersOf(line: Uint8Array): Member[] | undefined {
  let at = space(line, 0);
  if (line[at] !== OPEN_BRACE) return undefined;
  const members: Member[] = [];
  at = space(line, at + 1);
  while (at < line.length && line[at] !== CLOSE_BRACE) {
    if (line[at] === COMMA) at = space(line, at + 1);
    const nameStart = at;
    const nameEnd = valueEnd(line, at);
    const valueStart = space(line, space(line, nameEnd) + 1);
    const end = valueEnd(line, valueStart);
    const name = JSON.parse(utf8.decode(line.subarray(nameStart, nameEnd))) as string;
    members.push({ name, nameStart, nameEnd, valueStart, valueEnd: end });
    at = space(line, end);
  }
  return members;
}

/** Makes a line of `members` of other lines, under their own or other names. */
export function lineOf(
  members: readonly {
    readonly line: Uint8Array;
    readonly member: Member;
    readonly rename?: string;
  }[],
): Uint8Array {
  const pieces: Uint8Array[] = [Uint8Array.of(OPEN_BRACE)];
  for (const [i, { line, member, rename }] of members.entries()) {
    if (i > 0) pieces.push(Uint8Array.of(COMMA));
    if (rename === undefined) {
      pieces.push(line.subarray(member.nameStart, member.valueEnd));
    } else {
      pieces.push(Buffer.from(`${JSON.stringify(rename)}:`));
      pieces.push(line.subarray(member.valueStart, member.valueEnd));
    }
  }
  pieces.push(Uint8Array.of(CLOSE_BRACE, LINE_FEED));
  return Buffer.concat(pieces);
}

/** A line without the members of these names; the rest stays byte for byte. */
export function withoutMembers(line: Uint8Array, names: ReadonlySet<string>): Uint8Array {
  const members = membersOf(line);
  if (members === undefined || !members.some(({ name }) => names.has(name))) return line;
  const kept = members.filter(({ name }) => !names.has(name));
  return lineOf(kept.map((member) => ({ line, member })));
}

/**
 * The bytes of the value at a path; `undefined` if there is none. Of duplicate names the last counts.
 */
export function rawValue(line: Uint8Array, path: readonly string[]): Uint8Array | undefined {
  let value = line;
  for (const name of path) {
    const member = membersOf(value)?.findLast((one) => one.name === name);
    if (member === undefined) return undefined;
    value = value.subarray(member.valueStart, member.valueEnd);
  }
  return value;
}

/** Where the value that begins at `start` ends: a string, a list, an object or a bare word. */
function valueEnd(line: Uint8Array, start: number): number {
  let at = start;
  let depth = 0;
  do {
    const byte = line[at];
    if (byte === QUOTE) {
      at = textEnd(line, at);
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      depth++;
      at++;
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      depth--;
      at++;
    } else if (depth === 0) {
      while (at < line.length && !ENDS_WORD.has(line[at] as number)) at++;
    } else {
      at++;
    }
  } while (depth > 0 && at < line.length);
  return at;
}

function textEnd(line: Uint8Array, start: number): number {
  let at = start + 1;
  while (at < line.length && line[at] !== QUOTE) at += line[at] === BACKSLASH ? 2 : 1;
  return at + 1;
}

function space(line: Uint8Array, start: number): number {
  let at = start;
  while (SPACES.has(line[at] as number)) at++;
  return at;
}

const utf8 = new TextDecoder();
const LINE_FEED = 10;
const QUOTE = 34;
const COMMA = 44;
const OPEN_BRACKET = 91;
const BACKSLASH = 92;
const CLOSE_BRACKET = 93;
const OPEN_BRACE = 123;
const CLOSE_BRACE = 125;
const SPACES = new Set([9, LINE_FEED, 13, 32]);
const ENDS_WORD = new Set([...SPACES, COMMA, CLOSE_BRACE, CLOSE_BRACKET]);
