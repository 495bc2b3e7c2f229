/** What is wrong with a text that is not JSON: the character at which it stops being so, from 0. */
export interface JsonFault {
  readonly at: number;
  readonly what: string;
}

/**
 * Finds where a text stops being JSON. Only called for a text that `JSON.parse` has refused, whose
 * messages tell no place on some versions of Node.
 */
export function jsonFault(text: string): JsonFault {
  const tokens = new RegExp(TOKEN, "y");
  const open: ("{" | "[")[] = [];
  let wanted: Wanted = "value";
  let at = skip(text, 0);
  for (;;) {
    if (wanted === "end" && at === text.length) return { at, what: "malformed" };
    tokens.lastIndex = at;
    const [token] = tokens.exec(text) ?? [];
    if (token === undefined) return { at: faultyText(text, at), what: describe(text, at, wanted) };
    const next = follow(token, wanted, open);
    if (next === undefined) return { at, what: describe(text, at, wanted) };
    wanted = next;
    at = skip(text, at + token.length);
  }
}

type Wanted = "value" | "value or ]" | "name" | "name or }" | ":" | ", or ]" | ", or }" | "end";

/** What is wanted behind a token; undefined where it is not what was wanted. */
function follow(token: string, wanted: Wanted, open: ("{" | "[")[]): Wanted | undefined {
  const isText = token.startsWith('"');
  if (wanted === "name" || wanted === "name or }") {
    if (isText) return ":";
    return token === "}" && wanted === "name or }" ? close(open) : undefined;
  }
  if (wanted === ":") return token === ":" ? "value" : undefined;
  if (wanted === ", or ]") {
    return token === "," ? "value" : token === "]" ? close(open) : undefined;
  }
  if (wanted === ", or }") return token === "," ? "name" : token === "}" ? close(open) : undefined;
  if (wanted === "end") return undefined;
  if (token === "]" && wanted === "value or ]") return close(open);
  if (token === "{" || token === "[") {
    open.push(token);
    return token === "{" ? "name or }" : "value or ]";
  }
  return isText || /^[-\dtfn]/.test(token) ? behind(open) : undefined;
}

function close(open: ("{" | "[")[]): Wanted {
  open.pop();
  return behind(open);
}

function behind(open: readonly ("{" | "[")[]): Wanted {
  const last = open.at(-1);
  return last === undefined ? "end" : last === "{" ? ", or }" : ", or ]";
}

function describe(text: string, at: number, wanted: Wanted): string {
  if (at >= text.length) return `ends where ${NAMES[wanted]} should be`;
  if (text[at] === '"') return "a text that does not end, or holds a character that JSON escapes";
  if (wanted === "end") return "goes on behind its end; a line is one record";
  return `${JSON.stringify(text[at])} where ${NAMES[wanted]} should be`;
}

/** In a faulty text: the character that JSON does not allow there. */
function faultyText(text: string, at: number): number {
  if (text[at] !== '"') return at;
  return (
    at +
    (/^"(?:[^"\\\p{Cc}]|\\(?:["\\/bfnrt]|u[\da-f]{4}))*/iu.exec(text.slice(at))?.[0].length ?? 0)
  );
}

function skip(text: string, start: number): number {
  let at = start;
  while (at < text.length && " \t\r\n".includes(text[at] as string)) at++;
  return at;
}

const NAMES: { readonly [wanted in Wanted]: string } = {
  value: "a value",
  "value or ]": "a value or ]",
  name: "a name in quotes",
  "name or }": "a name in quotes or }",
  ":": "a colon",
  ", or ]": "a comma or ]",
  ", or }": "a comma or }",
  end: "the end",
};

const TOKEN =
  '[{}[\\]:,]|"(?:[^"\\\\\\u0000-\\u001f]|\\\\(?:["\\\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9]\\d*)(?:\\.\\d+)?(?:[eE][-+]?\\d+)?(?![\\w.])|(?:true|false|null)(?!\\w)';
