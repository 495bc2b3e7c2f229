import { createHash } from "node:crypto";
import { UsageError } from "../command/failure.js";
import { jsonText } from "../tables/json-text.js";

/** A value of a group's key: what JSON can tell apart, dates, and undefined where a field is missing. */
export type KeyPart = unknown;

/**
 * File names for keys, by a template such as `{user}.ndjson`. A name is safe on the disks of Linux,
 * macOS and Windows, and no two keys share one there, also where upper and lower case, or accents
 * written in one character or two, are the same. A key keeps its name for as long as this lives.
 */
export class PartNames {
  readonly #template: readonly (string | number)[];
  /** Bytes of a part's text: most disks take names of 255, and an ending needs some. */
  readonly #longestPart: number;
  /** Names that are taken, as a disk that folds them sees them, by 53 bits of a hash each. */
  readonly #taken = new Set<number>();

  /**
   * @param template text that contains `{field}` for each of `fields`.
   * @throws `UsageError` for a template that would give keys that differ one name.
   */
  constructor(template: string, fields: readonly string[]) {
    this.#template = parseTemplate(template, fields);
    this.#longestPart = Math.max(24, Math.floor(LONGEST_NAME / fields.length));
    this.reserve(NAMES_TABLE);
  }

  /** Takes a name that is there already. */
  reserve(name: string): void {
    this.#taken.add(short(fold(name)));
  }

  /** A name for a key that has none yet: one part for each field. */
  take(parts: readonly KeyPart[]): string {
    const plain = this.plain(parts);
    const name = this.isFree(plain) ? plain : this.#distinct(parts);
    this.reserve(name);
    return name;
  }

  /** The name that a key has if no other took it before. */
  plain(parts: readonly KeyPart[]): string {
    return this.#fill(parts, "");
  }

  isFree(name: string): boolean {
    return !this.#taken.has(short(fold(name)));
  }

  /** Whether the name tells the key: all parts are strings that stand in it as they are. */
  tells(name: string, parts: readonly KeyPart[]): boolean {
    if (!parts.every((part) => typeof part === "string")) return false;
    return (
      name === this.#template.map((one) => (typeof one === "string" ? one : parts[one])).join("")
    );
  }

  #distinct(parts: readonly KeyPart[]): string {
    const digest = createHash("sha256").update(identify(parts)).digest("hex");
    for (let length = 8; length < digest.length; length++) {
      const name = this.#fill(parts, `~${digest.slice(0, length)}`);
      if (this.isFree(name)) return name;
    }
    throw new Error("two keys have the same digest");
  }

  /** The template filled in, with `mark` behind the last field. */
  #fill(parts: readonly KeyPart[], mark: string): string {
    const last = this.#template.findLastIndex((one) => typeof one === "number");
    const name = this.#template
      .map((one, i) =>
        typeof one === "string"
          ? one
          : safePart(textOfPart(parts[one]), this.#longestPart) + (i === last ? mark : ""),
      )
      .join("");
    return shortened(safeName(name), identify(parts) + mark);
  }
}

/** The file beside the parts that says which value each of them holds. */
export const NAMES_TABLE = "_names.ndjson";

/** `name` with a number before its extension: `"ann.2.ndjson"` for the second file of a key. */
export function numbered(name: string, number: number): string {
  if (number === 1) return name;
  const dot = name.indexOf(".", 1);
  return dot < 0 ? `${name}.${number}` : `${name.slice(0, dot)}.${number}${name.slice(dot)}`;
}

/** A text for each key, and none for two. */
export function identify(parts: readonly KeyPart[]): string {
  return JSON.stringify(parts.map(describe));
}

/** A key's part as JSON tells it, for the table of names. */
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
  const parts = template.split(/(\{[^{}]*\})/).filter((one) => one !== "");
  const parsed = parts.map((one) => {
    const field = /^\{(.*)\}$/.exec(one)?.[1];
    if (field === undefined) return one;
    const index = fields.indexOf(field);
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

/** Text with what is unsafe in a file name as %XX of its UTF-8 bytes, and cut to a bearable length. */
function safePart(text: string, longest: number): string {
  const safe = text
    .toWellFormed()
    .normalize("NFC")
    .replace(/[^\p{L}\p{M}\p{N} _.()@+,=~$&'!#;[\]-]/gu, percentBytes);
  if (Buffer.byteLength(safe) <= longest) return safe === "" ? "empty" : safe;
  const digest = createHash("sha256").update(text).digest("hex").slice(0, 16);
  return `${beginning(safe, longest - 20)}~${digest}`;
}

/** A whole name without what Windows or a shell would take amiss at its ends. */
function safeName(name: string): string {
  const ends = name.replace(/^[.~ -]/, percentBytes).replace(/[. ]$/, percentBytes);
  return DEVICE.test(ends) ? `_${ends}` : ends;
}

/** A name that disks take: of a long one the beginning, the digest of its key, and its extension. */
function shortened(name: string, key: string): string {
  if (Buffer.byteLength(name) <= LONGEST_WITH_TEMPLATE) return name;
  const digest = createHash("sha256").update(key).digest("hex").slice(0, 32);
  const extension = /\.[a-z0-9]{1,10}$/i.exec(name)?.[0] ?? "";
  return `${beginning(name, LONGEST_NAME)}~${digest}${extension}`;
}

/** The characters of a text that fit into so many bytes. */
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

/** The form under which names collide on a disk that folds them: without case, accents in one spelling. */
function fold(name: string): string {
  return name.normalize("NFKD").toUpperCase().toLowerCase().normalize("NFKD");
}

function short(text: string): number {
  const digest = createHash("sha1").update(text).digest();
  return digest.readUInt32LE(0) + (digest.readUInt32LE(4) & 0x1f_ffff) * 2 ** 32;
}

/** Names of devices on Windows, whatever follows a dot. */
const DEVICE = /^(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?:\.|$)/i;

/** Bytes of all fields together. */
const LONGEST_NAME = 160;

/** Bytes of a whole name: disks take 255, and files of one key are numbered. */
const LONGEST_WITH_TEMPLATE = 230;
