import { ENDINGS, FORMATS } from "../records/names.js";
import type { Argument, Option } from "./command.js";
import { UsageError } from "./failure.js";
import { parseMemory } from "./quantity.js";

/** Options that every command takes. */
export const COMMON: readonly Option[] = [
  { name: "json", about: "results, progress and errors as JSON, one value a line" },
  { name: "quiet", short: "q", about: "no progress and no remarks; errors are still printed" },
];

export const DATA_SET: Argument = {
  name: "dataset",
  required: true,
  completes: "directory",
  about:
    "a directory of a FileStore or LogStore, or a server: ipc://path, ws://host:port, wss://host",
};

/** Options for reaching a data set on a server. */
export const REACH: readonly Option[] = [
  {
    name: "token-file",
    value: "FILE",
    completes: "file",
    about: "the server's token, if it asks for one; default: the variable PARTD_TOKEN",
  },
  {
    name: "ca",
    value: "FILE",
    completes: "file",
    about: "certificate authorities to trust for wss://, as PEM",
  },
];

/** The names that --codec knows without a package. */
export const CODECS = ["json", "text", "lines", "v8", "msgpack", "pickle", "ndarray", "arrow"];
/** The names that --compress knows without a package. */
export const COMPRESSIONS = ["snappy", "lz4", "zlib", "gzip", "zstd", "bz2", "blosc"];

/** Options for what stands around a store of bytes: see `buildTower`. */
export const TOWER: readonly Option[] = [
  {
    name: "codec",
    value: "NAME",
    completes: CODECS,
    about: `what the values are: ${CODECS.join(", ")}, or an npm package that exports a codec; default: bytes`,
  },
  {
    name: "compress",
    value: "NAME",
    completes: COMPRESSIONS,
    about: `how they are compressed: ${COMPRESSIONS.join(", ")}, or an npm package`,
  },
];

export const OUT: Option = {
  name: "out",
  short: "o",
  value: "FILE",
  completes: "file",
  about: "write there, in place of standard output, which is -; it appears when it is complete",
  none: "-",
};

export const STORE: Option = {
  name: "store",
  value: "KIND",
  choices: ["file", "log"],
  completes: ["file", "log"],
  about: "what a directory is, or becomes if it is new (default: what it looks like; new: log)",
};

export const BY: Option = {
  name: "by",
  value: "FIELD",
  list: true,
  about:
    "fields of the key, separated by commas; a.b is b of the object a, a\\.b a name with a dot, a\\,b one with a comma, '\"\"' the empty one, and 2 the second column of CSV if it has no name",
};

/** Options for reading files of records. */
export const READ: readonly Option[] = [
  {
    name: "from",
    value: "FORMAT",
    choices: FORMATS,
    aliases: ENDINGS,
    completes: FORMATS,
    about:
      "the inputs' format, if their names do not tell; standard input is ndjson unless this says otherwise",
  },
  {
    name: "delimiter",
    value: "CHAR",
    about:
      "what stands between the fields of CSV that is read and written: ';', '|' or '\\t' (default: a comma)",
    parse: parseDelimiter,
  },
  {
    name: "no-header",
    about:
      "CSV and TSV have no header, neither what is read nor what is written: fields are 1, 2, 3 …",
  },
  {
    name: "no-quotes",
    about: "a quote in CSV and TSV is a character like any other, where they are read and written",
  },
  {
    name: "reject",
    value: "FILE",
    completes: "file",
    about: "put malformed records there and go on; the exit code is 3 then",
    parse: parseSidePath,
  },
];

export const MISSING: Option = {
  name: "missing",
  value: "WHAT",
  completes: "file",
  about:
    "records without the field: error (the default), skip, or the FILE to put them in; null is a value",
  parse: (text) => {
    if (text !== "keep") return parseSidePath(text);
    throw new UsageError("takes error, skip or a FILE; write ./keep for a file of that name");
  },
};

/** Options for memory and temporary files. */
export const BOUNDS: readonly Option[] = [
  {
    name: "memory",
    short: "m",
    value: "SIZE",
    parse: parseMemory,
    about: "memory for records, such as 512MB (default: a quarter of what there is)",
  },
  {
    name: "tmp",
    value: "DIR",
    completes: "directory",
    about: "where data goes that does not fit in memory (default: TMPDIR, or the system's)",
  },
];

/**
 * Reads the FILE of an option beside --out.
 *
 * @throws `UsageError` for `-`, because standard output has the results.
 */
export function parseSidePath(text: string): string {
  if (text !== "-") return text;
  throw new UsageError(
    "takes a FILE, not -: write /dev/stderr for standard error, or ./- for a file of that name",
  );
}

/** Reads one character; `\t` is a tab. @throws `UsageError` for other text. */
function parseDelimiter(text: string): string {
  const delimiter = text === "\\t" ? "\t" : text;
  if (/^[\t\x20-\x7e]$/.test(delimiter) && delimiter !== '"') return delimiter;
  throw new UsageError(
    `takes one character of ASCII but ", such as ';' or '|', and \\t for a tab, not ${JSON.stringify(text)}`,
  );
}
