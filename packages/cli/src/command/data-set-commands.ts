import type { Argument, Command, Option } from "./command.js";
import {
  BOUNDS,
  BY,
  COMMON,
  DATA_SET,
  MISSING,
  OUT,
  REACH,
  READ,
  STORE,
  TOWER,
} from "./common-options.js";
import { parseBytes, parseCount } from "./quantity.js";

const KEY_ABOUT =
  "A key is written as `partd ls` prints it: plain text, with / between the parts of a tuple and %XX for a byte that is not of -_.() A-Z a-z 0-9 or space. Text that is no such form is taken as it is; with --literal all text is.";

const LITERAL = {
  name: "literal",
  about: "take keys as they are, also where they read like an escaped form",
};

const FORCE: Option = {
  name: "force",
  short: "f",
  about: "replace files of --reject and --missing that exist",
};

const KEYS: Argument = { name: "key", required: true, variadic: true, about: "keys" };

/** Commands on what a partd store holds. */
export const dataSetCommands: readonly Command[] = [
  {
    name: "ls",
    summary: "List the keys of a data set",
    about: ["Keys come in no order, as the store has them; add --sort for one.", KEY_ABOUT],
    examples: [
      { line: "partd ls shuffle", does: "print every key, one a line" },
      { line: "partd ls shuffle --long --sort bytes", does: "with sizes, the largest first" },
      {
        line: "partd ls ws://127.0.0.1:8765 --prefix 2024/",
        does: "some keys of a server's store",
      },
    ],
    arguments: [DATA_SET],
    options: [
      { name: "long", short: "l", about: "print the bytes of each value before its key" },
      {
        name: "sort",
        value: "BY",
        choices: ["key", "bytes"],
        completes: ["key", "bytes"],
        about: "order by key, or by size with the largest first; holds all keys in memory",
      },
      { name: "prefix", value: "TEXT", about: "only keys whose printed form begins so" },
      STORE,
      ...REACH,
      ...COMMON,
    ],
    load: async () => (await import("../data-set/ls.js")).ls,
  },
  {
    name: "stat",
    summary: "Show keys, bytes and skew of a data set",
    about: [
      "The histogram counts keys by the size of their values, in powers of two. Sizes are those of what is stored: compressed, if it is.",
    ],
    examples: [
      { line: "partd stat shuffle", does: "keys, bytes, a histogram and the ten largest keys" },
      { line: "partd stat shuffle --top 50", does: "the fifty largest" },
      { line: "partd stat ipc://shuffle.sock --json", does: "the same figures for a program" },
    ],
    arguments: [DATA_SET],
    options: [
      {
        name: "top",
        value: "N",
        parse: parseCount,
        about: "how many of the largest keys to show (default 10)",
      },
      STORE,
      ...REACH,
      ...COMMON,
    ],
    load: async () => (await import("../data-set/stat.js")).stat,
  },
  {
    name: "get",
    summary: "Print the values of keys",
    about: [
      "Without --codec the stored bytes are printed as they are. With one, lists are printed an item a line, as JSON where they are not text. A key that is not there is an error, and nothing is printed for the keys behind it.",
      KEY_ABOUT,
    ],
    examples: [
      { line: "partd get shuffle JFK", does: "the bytes of one key" },
      {
        line: "partd get shuffle ann bob --codec json --compress snappy",
        does: "decoded items, one a line",
      },
      {
        line: "partd get shuffle JFK --out JFK.ndjson",
        does: "into a file, which appears when it is complete",
      },
    ],
    arguments: [DATA_SET, KEYS],
    options: [
      ...TOWER,
      OUT,
      { name: "force", short: "f", about: "overwrite that file" },
      LITERAL,
      STORE,
      ...REACH,
      ...COMMON,
    ],
    load: async () => (await import("../data-set/get.js")).get,
  },
  {
    name: "append",
    summary: "Append bytes to a key, or records to the keys they say",
    about: [
      "Without --codec the input's bytes are appended as they are. With text or lines it is UTF-8 text, and with any other codec NDJSON, a value a line. It is one append, whole or not at all, of at most --max-bytes.",
      "With --by, FILE... are files of records, as for the commands on records, and there is no KEY: each record is appended to the key that its field says, several fields making a tuple. Keys are text, so a number goes by its digits. Records pass byte for byte, of CSV rows without the header; a codec takes them as values, or as text. All are read before the first is appended.",
      KEY_ABOUT,
    ],
    examples: [
      { line: "partd append shuffle JFK < more.ndjson", does: "add standard input to a key" },
      {
        line: "partd append shuffle flights.ndjson --by origin",
        does: "each record of a file to the key of its origin: partd get shuffle JFK prints them",
      },
      {
        line: "partd append shuffle JFK a.ndjson b.ndjson",
        does: "add two files, one behind the other",
      },
      {
        line: "partd append shuffle ann events.ndjson --codec json --compress snappy",
        does: "as a list of JSON values",
      },
    ],
    arguments: [
      DATA_SET,
      { name: "key", completes: "file", about: "the key; none with --by" },
      {
        name: "file",
        variadic: true,
        completes: "file",
        about:
          "files, or - for standard input (the default); with --by globs and packed files, too",
      },
    ],
    options: [
      { ...BY, about: `append each record to the key that these fields say: ${BY.about}` },
      ...TOWER,
      {
        name: "fsync",
        about:
          "end only when the bytes would outlast a loss of power; of a server, serve --fsync says that",
      },
      {
        name: "max-bytes",
        value: "SIZE",
        parse: parseBytes,
        about: "refuse more than this (default 256MiB)",
      },
      LITERAL,
      ...[MISSING, ...READ, FORCE, ...BOUNDS].map(
        (option): Option => ({ ...option, about: `with --by: ${option.about}` }),
      ),
      STORE,
      ...REACH,
      ...COMMON,
    ],
    load: async () => (await import("../data-set/append.js")).append,
  },
  {
    name: "delete",
    summary: "Delete keys and their values",
    about: ["All the keys have to be there: if one is not, nothing is deleted.", KEY_ABOUT],
    examples: [
      { line: "partd delete shuffle JFK", does: "delete one key" },
      {
        line: "partd delete shuffle JFK BOS 2024/LAX",
        does: "delete several, one of them a tuple",
      },
      {
        line: "partd delete shuffle --literal 'a%25b'",
        does: "a key whose text reads like an escape",
      },
    ],
    arguments: [DATA_SET, KEYS],
    options: [LITERAL, STORE, ...REACH, ...COMMON],
    load: async () => (await import("../data-set/delete.js")).remove,
  },
  {
    name: "verify",
    summary: "Read a data set whole and report damage",
    about: [
      "A LogStore is compared with its checksums. In any store, --codec and --compress have every value decoded as well, one item after the other. Ends with 1 if something is damaged.",
    ],
    examples: [
      { line: "partd verify shuffle", does: "read everything, compare checksums" },
      {
        line: "partd verify shuffle --codec json --compress snappy",
        does: "and decode every value",
      },
      { line: "partd verify shuffle --json", does: "the report for a program" },
    ],
    arguments: [DATA_SET],
    options: [...TOWER, STORE, ...REACH, ...COMMON],
    load: async () => (await import("../data-set/verify.js")).verify,
  },
  {
    name: "compact",
    summary: "Lay each key's bytes together and give space back",
    about: [
      "For a LogStore, while others append and read. It needs free space for a copy. A FileStore has each key's bytes in a file already, and nothing is done.",
      "With --salvage, what is damaged is left out and told: of a value, the stretches of at most 64 KiB that do not match their checksums. Where it is not known whose bytes are damaged, any key may lack some.",
    ],
    examples: [
      { line: "partd compact shuffle", does: "compact a LogStore" },
      { line: "partd compact shuffle --quiet", does: "without a progress bar" },
      { line: "partd compact damaged --salvage", does: "keep what is readable of a damaged one" },
    ],
    arguments: [DATA_SET],
    options: [
      {
        name: "salvage",
        about: "leave out what is damaged, tell what it was, and make a whole data set of the rest",
      },
      STORE,
      ...COMMON,
    ],
    load: async () => (await import("../data-set/compact.js")).compact,
  },
  {
    name: "drop",
    summary: "Destroy all keys and values of a data set",
    about: ["It asks first; where nobody can answer, --yes is needed. The directory stays, empty."],
    examples: [
      { line: "partd drop shuffle", does: "ask, then delete everything" },
      { line: "partd drop shuffle --yes", does: "without asking" },
      { line: "partd drop wss://host:8765 --yes", does: "all that a server's store holds" },
    ],
    arguments: [DATA_SET],
    options: [{ name: "yes", short: "y", about: "do not ask" }, STORE, ...REACH, ...COMMON],
    load: async () => (await import("../data-set/drop.js")).drop,
  },
  {
    name: "serve",
    summary: "Serve a data set to other processes, machines and browsers",
    about: [
      "The token that clients need is read from the variable PARTD_TOKEN or from --token-file, never from an argument, which other users could see. It, or --insecure, is needed where other machines reach the address. SIGTERM or Ctrl-C answers what has arrived, writes everything down, and ends with 0.",
    ],
    examples: [
      {
        line: "partd serve shuffle --address ipc://shuffle.sock",
        does: "to this machine's processes",
      },
      {
        line: "partd serve shuffle --address ws://127.0.0.1:8765 --page",
        does: "with a page that shows what goes on",
      },
      {
        line: "PARTD_TOKEN=… partd serve shuffle --address wss://0.0.0.0:8765 --cert cert.pem --key key.pem",
        does: "to other machines",
      },
    ],
    arguments: [
      { ...DATA_SET, about: "a directory of a FileStore or LogStore, made if it is new" },
    ],
    options: [
      {
        name: "address",
        short: "a",
        value: "URL",
        about: "where to listen (default ws://127.0.0.1:0, a free port)",
      },
      { name: "page", about: "serve a page at / that shows rates, memory and skew" },
      {
        name: "token-file",
        value: "FILE",
        completes: "file",
        about: "a file that holds the token; default: the variable PARTD_TOKEN",
      },
      {
        name: "cert",
        value: "FILE",
        completes: "file",
        about: "the certificate for wss://, as PEM",
      },
      { name: "key", value: "FILE", completes: "file", about: "its private key" },
      {
        name: "origin",
        value: "URL",
        list: true,
        about: "pages of this origin may connect: https://example.org",
      },
      { name: "insecure", about: "listen where others can reach it, and ask for no token" },
      {
        name: "memory",
        value: "SIZE",
        parse: parseBytes,
        about: "gather appends in this much memory before they go to disk (default: none)",
      },
      { name: "fsync", about: "acknowledge appends only when they would outlast a loss of power" },
      STORE,
      ...COMMON,
    ],
    load: async () => (await import("../data-set/serve.js")).serve,
  },
];
