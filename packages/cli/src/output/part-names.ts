import { createHash } from "node:crypto";
import { extname } from "node:path";
import { UsageError } from "../command/failure.js";
import { jsonText } from "../records/json-text.js";
import { fieldNamed } from "../records/names.js";

/**
 * A value of a group's key: anything that JSON can tell apart, a date, or undefined for a missing
 * field.
 */
export type KeyPart = unknown;

/**
 * File names for keys, by a template such as `{user}.ndjson`. A name is safe on the disks of Linux,
 * macOS and Windows. Names of different keys differ there, even if a disk ignores case or the spelling
 * of accents. A key keeps its name for the life of this object.
 */
export class PartNames {
  readonly #template: readonly (string | number)[];
  /** The most bytes of a part's text: most disks take names of 255 bytes, and an ending needs some. */
  readonly #longestPart: number;
  /** Taken names, folded as disks fold them, by 53 bits of a hash each. */
  readonly #taken = new Set<number>();

  /**
   * @param template text that contains `{field}` for each of `fields`, or what all names end in.
   * @throws `UsageError` for a template that would give different keys the same name.
   */
  constructor(template: string | { readonly ending: string }, fields: readonly string[]) {
    this.#template =
      typeof template === "string"
        ? parseTemplate(template, fields)
        : [...fields.flatMap((_, i) => (i === 0 ? [i] : ["-", i])), template.ending];
    this.#longestPart = Math.max(24, Math.floor(LONGEST_NAME / fields.length));
    this.reserve(NAMES_TABLE);
  }

  /** Marks an existing name as taken. */
  reserve(name: string): void {
    this.#taken.add(short(fold(name)));
  }

  /** Makes a name for a key that has none yet; the key has a value for each field. */
  take(key: readonly KeyPart[]): string {
    const plain = this.plain(key);
    const name = this.isFree(plain) ? plain : this.#distinct(key);
    this.reserve(name);
    return name;
  }

  /** The name of a key, unless another key has taken it. */
  plain(key: readonly KeyPart[]): string {
    return this.#fill(key, "");
  }

  isFree(name: string): boolean {
    return !this.#taken.has(short(fold(name)));
  }

  /** Whether a file has the ending of these names, and is not hidden: it would be read with them. */
  isLike(name: string): boolean {
    const last = this.#template.at(-1);
    const ending = typeof last === "string" ? extname(`_${last}`) : "";
    return !name.startsWith(".") && extname(name) === ending;
  }

  /** Whether the name spells out the key: all of the key's parts are strings, and stand in it unchanged. */
  tells(name: string, key: readonly KeyPart[]): boolean {
    if (!key.every((part) => typeof part === "string")) return false;
    return (
      name === this.#template.map((one) => (typeof one === "string" ? one : key[one])).join("")
    );
  }

  #distinct(key: readonly KeyPart[]): string {
    const digest = createHash("sha256").update(identify(key)).digest("hex");
    for (let length = 8; length < digest.length; length++) {
      const name = this.#fill(key, `~${digest.slice(0, length)}`);
      if (this.isFree(name)) return name;
    }
    throw new Error("two keys have the same digest");
  }

  /** The template with the parts of the key, and `mark` after the last of them. */
  #fill(key: readonly KeyPart[], mark: string): string {
    const last = this.#template.findLastIndex((one) => typeof one === "number");
    const name = this.#template
      .map((one, i) =>
        typeof one === "string"
          ? one
          : safePart(textOfPart(key[one]), this.#longestPart) + (i === last ? mark : ""),
      )
      .join("");
    return shortened(safeName(name), identify(key) + mark);
  }
}

/** The file beside the parts that says which key each of them holds. */
export const NAMES_TABLE = "_names.ndjson";

/** `name` with a number before its extension: `"ann.2.ndjson"` for the second file of a key. */
export function numbered(name: string, number: number): string {
  if (number === 1) return name;
  const dot = name.indexOf(".", 1);
  return dot < 0 ? `${name}.${number}` : `${name.slice(0, dot)}.${number}${name.slice(dot)}`;
}

/** A text for each key, different for different keys. */
export function identify(key: readonly KeyPart[]): string {
  return JSON.stringify(key.map(describe));
}

/** A key's part in JSON, for the table of names. */
export function describe(part: KeyPart): unknown {
  if (part === undefined) return { missing: true };
  if (typeof part === "bigint") return { number: String(part) };
  if (part instanceof Uint8Array) return { base64: Buffer.from(part).toString("base64") };
  return Array.isArray(part) ? part.map(describe) : part;
}

function textOfPart(part: KeyPart): string {
  if (typeof part === "string") return part;
  if (part === undefined) return "missing";
  if (part instanceof Date) return Number.isNaN(+part) ? "invalid date" : part.toISOString();
  if (part instanceof Uint8Array) return Buffer.from(part).toString("hex");
  return jsonText(part);
}

function parseTemplate(template: string, fields: readonly string[]): (string | number)[] {
  const pieces = template.split(/(\{[^{}]*\})/).filter((one) => one !== "");
  const parsed = pieces.map((one) => {
    const field = /^\{(.*)\}$/.exec(one)?.[1];
    if (field === undefined) return one;
    const index = fields.indexOf(fieldNamed(field));
    if (index < 0) {
      throw new UsageError(
        `--name ${template}: {${field}} is not among the fields of --by (${fields.join(", ")})`,
      );
    }
    return index;
  });
  for (const [i, field] of fields.entries()) {
    if (parsed.includes(i)) continue;
    throw new UsageError(
      `--name ${template} lacks {${field}}, and files of several values would be one`,
    );
  }
  const fixed = parsed.filter((one) => typeof one === "string").join("");
  if (/[/\\:*?"<>|\p{Cc}]/u.test(fixed)) {
    throw new UsageError(
      `--name ${template}: a file name has none of / \\ : * ? " < > | on every system, and all files lie in one folder`,
    );
  }
  return parsed;
}

/** Text in which unsafe characters are %XX of their UTF-8 bytes, cut to `longest` bytes. */
function safePart(text: string, longest: number): string {
  const safe = text
    .toWellFormed()
    .normalize("NFC")
    .replace(/[^\p{L}\p{M}\p{N} _.()@+,=~$&'!#;[\]-]/gu, percentBytes);
  if (Buffer.byteLength(safe) <= longest) return safe === "" ? "empty" : safe;
  const digest = createHash("sha256").update(text).digest("hex").slice(0, 16);
  return `${beginning(safe, longest - 20)}~${digest}`;
}

/** A whole name without characters at its ends that Windows or a shell would misinterpret. */
function safeName(name: string): string {
  const ends = name.replace(/^[.~ -]/, percentBytes).replace(/[. ]$/, percentBytes);
  return DEVICE.test(ends) ? `_${ends}` : ends;
}

/**
 * A name that disks accept: a long one is cut to its beginning, the digest of its key, and its
 * extension.
 */
function shortened(name: string, key: string): string {
  if (Buffer.byteLength(name) <= LONGEST_WITH_TEMPLATE) return name;
  const digest = createHash("sha256").update(key).digest("hex").slice(0, 32);
  const extension = /\.[a-z0-9]{1,10}$/i.exec(name)?.[0] ?? "";
  return `${beginning(name, LONGEST_NAME)}~${digest}${extension}`;
}

/** The longest beginning of a text that fits into this many bytes. */
function beginning(text: string, bytes: number): string {
  let cut = "";
  for (const character of text) {
    if (Buffer.byteLength(cut + character) > bytes) break;
    cut += character;
  }
  return cut;
}

function percentBytes(text: string): string {
  return [...Buffer.from(text)]
    .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`)
    .join("");
}

/** The form in which names collide on a disk that folds them: without case, accents in one spelling. */
function fold(name: string): string {
  return name.normalize("NFKD").toUpperCase().toLowerCase().normalize("NFKD");
}

function short(text: string): number {
  const digest = createHash("sha1").update(text).digest();
  return digest.readUInt32LE(0) + (digest.readUInt32LE(4) & 0x1f_ffff) * 2 ** 32;
}

/** Device names on Windows, with any extension. */
const DEVICE = /^(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?:\.|$)/i;

/** The most bytes of all fields together. */
const LONGEST_NAME = 160;

/** The most bytes of a whole name: disks take 255, and files of one key are numbered. */
const LONGEST_WITH_TEMPLATE = 230;
