import { AGGREGATES, ENDINGS, FORMATS } from "../records/names.js";
import type { Argument, Command, Option } from "./command.js";
import { BOUNDS, BY, COMMON, MISSING, OUT, parseSidePath, READ } from "./common-options.js";
import { UsageError } from "./failure.js";
import { parseBytes, parseCount } from "./quantity.js";

const INPUTS: Argument = {
  name: "input",
  variadic: true,
  completes: "file",
  about:
    "files, globs in quotes, or - for standard input (the default); gzip and zstd are unpacked, and a byte order mark is left out",
};

const THREADS: Option = {
  name: "threads",
  value: "N",
  parse: (text) => parseCount(text, 256),
  about: "how many read a plain file (default: by its size and the processors there are)",
};

const WRITE: readonly Option[] = [
  { ...OUT, about: `${OUT.about}, and packed if it ends in .gz or .zst` },
  {
    name: "to",
    value: "FORMAT",
    choices: FORMATS,
    aliases: ENDINGS,
    completes: FORMATS,
    about:
      "the output's format (default: by the name of --out, else that of the inputs, and ndjson for json, arrow, parquet and --json)",
  },
  { name: "force", short: "f", about: "replace files that exist, and do not look at free space" },
];

/** What other programs call options of most commands. */
const INSTEAD = {
  ...Object.fromEntries(
    ["d", "t", "sep", "separator"].map((name) => [name, "say --delimiter CHAR"]),
  ),
  ...Object.fromEntries(
    ["on", "key", "keys", "field", "fields"].map((name) => [name, "say --by FIELD"]),
  ),
  format: "say --from FORMAT, or --to FORMAT",
};

const OUT_OF_CORE =
  "Memory is bounded, whatever the size of the inputs: what does not fit goes to temporary files, which are removed at the end.";
const UNCHANGED =
  "Lines of NDJSON and rows of CSV pass byte for byte: no number or date is written anew.";

/** Commands on files of records. */
export const recordCommands: readonly Command[] = [
  {
    name: "split",
    elsewhere: ["partition"],
    summary: "Split files into one file for each value",
    about: [
      `${UNCHANGED} Within a file the order is that of the inputs. ${OUT_OF_CORE}`,
      "File names are safe on every system, and no two values share a file where upper and lower case are the same. If a name does not tell its value, the table _names.ndjson beside the files does. Each file of CSV begins with the header. The files have the format of the inputs; JSON arrays and tables become NDJSON.",
      "The directory appears when all of its files are complete. A run that was killed is gone on with by --resume: files that were complete are not written again.",
    ],
    examples: [
      {
        line: "partd split events.ndjson --by user --out users",
        does: "users/ann.ndjson, users/bob.ndjson …",
      },
      {
        line: "partd split 'logs/*.csv.gz' --by year,month --out months --name '{year}-{month}.csv'",
        does: "several inputs, names of your own",
      },
      {
        line: "partd split events.ndjson --by user --out parts --partitions 64",
        does: "64 files, each user in one of them",
      },
    ],
    arguments: [INPUTS],
    options: [
      BY,
      {
        name: "out",
        short: "o",
        value: "DIR",
        completes: "directory",
        about: "the directory of the files",
        parse: (text) => {
          if (text !== "-") return text;
          throw new UsageError("takes a directory: files do not go to standard output");
        },
      },
      {
        name: "name",
        value: "TEMPLATE",
        about:
          "file names without folders, with {FIELD} for each field of --by (default: {FIELD}.ndjson or .csv, as the inputs are; with --partitions {partition})",
      },
      {
        name: "partitions",
        value: "N",
        parse: (text) => parseCount(text, 65_536),
        about: "N files by a hash of the key, in place of one a value",
      },
      {
        name: "max-bytes",
        value: "SIZE",
        parse: parseBytes,
        about: "begin another file, NAME.2.ndjson …, rather than exceed this",
      },
      {
        name: "max-rows",
        value: "N",
        parse: parseCount,
        about: "begin another file after N records",
      },
      { name: "append", about: "add to the files of a directory that exists" },
      { name: "drop-key", about: "leave the fields of --by out of the records" },
      MISSING,
      { name: "resume", about: "go on with a run that was interrupted" },
      {
        name: "force",
        short: "f",
        about:
          "replace an earlier split, also files that _names.ndjson lists and this run does not write; start an interrupted run anew; do not look at free space",
      },
      ...READ,
      ...BOUNDS,
      THREADS,
      ...COMMON,
    ],
    instead: {
      ...INSTEAD,
      format: "say --from FORMAT",
      to: "the files have the format of the inputs, and are ndjson for JSON and tables; afterwards, partd sort FILE --by FIELD -o NEW.parquet makes another of each",
    },
    load: async () => (await import("../records/split.js")).split,
  },
  {
    name: "group",
    elsewhere: ["agg", "aggregate", "sum"],
    summary: "Group records, or sum them up by group",
    about: [
      `Without sums, the records of each group follow one another in the output, in the order of the inputs; groups come in no order. ${UNCHANGED}`,
      `With them there is one record a group, or one of all records without --by: its fields, then count, sum_FIELD and so on. null, and in CSV nothing, is passed over; text where a number is asked for is an error. Numbers are doubles there: whole ones beyond 2^53 are rounded. ${OUT_OF_CORE}`,
      "In CSV, --min and --max compare numbers as numbers, and give a value as it stands in the file: of 007, 5 and 1.50 the greatest is 007, the least 1.50.",
    ],
    examples: [
      {
        line: "partd group events.ndjson --by user --count --sum ms",
        does: "a record a user: how many events, how many ms",
      },
      {
        line: "partd group flights.csv --by origin --mean delay --max delay -o delays.csv",
        does: "into a file of CSV",
      },
      {
        line: "partd group events.ndjson --sum ms --mean ms",
        does: "one record: the sum and the mean of all",
      },
      {
        line: "partd group events.ndjson --by user | less",
        does: "all events, those of a user together",
      },
    ],
    arguments: [INPUTS],
    options: [
      BY,
      { name: "count", about: "how many records" },
      ...AGGREGATES.map(({ name, about }): Option => ({ name, value: "FIELD", list: true, about })),
      {
        name: "null",
        value: "TEXT",
        list: true,
        about: "--sum, --min, --max and --mean pass over values of this text, such as '\\N' or NA",
      },
      MISSING,
      ...WRITE,
      ...READ,
      ...BOUNDS,
      {
        ...THREADS,
        about: `${THREADS.about}; fractions are added in another order by each number of them`,
      },
      ...COMMON,
    ],
    instead: { ...INSTEAD, avg: "say --mean FIELD", average: "say --mean FIELD" },
    load: async () => (await import("../records/group.js")).group,
  },
  {
    name: "count",
    elsewhere: ["top", "freq", "frequency"],
    summary: "Count records by value, the most frequent first",
    about: [`Without --by it is how many records there are. ${OUT_OF_CORE}`],
    examples: [
      { line: "partd count events.ndjson --by user --top 10", does: "the ten most frequent" },
      {
        line: "partd count 'logs/*.csv' --by status,method --to csv",
        does: "by two fields, as CSV",
      },
      { line: "partd count sales.csv --by shop --delimiter ';'", does: "of CSV with semicolons" },
      { line: "partd count events.ndjson", does: "how many records" },
    ],
    arguments: [INPUTS],
    options: [
      BY,
      { name: "top", short: "n", value: "N", parse: parseCount, about: "only the N most frequent" },
      MISSING,
      ...WRITE,
      ...READ,
      ...BOUNDS,
      THREADS,
      ...COMMON,
    ],
    instead: { ...INSTEAD, limit: "say --top N" },
    load: async () => (await import("../records/count.js")).count,
  },
  {
    name: "join",
    elsewhere: ["merge"],
    summary: "Join two files by a field",
    about: [
      "A record of the output has the fields of the left, then those of the right but for its key; a name that both have gets a suffix on the right. Values are not written anew. Missing and null keys match nothing, as in SQL.",
      "The two may be of different formats. Of CSV and TSV the output is as the left. Of one of them and of JSON or a table it is NDJSON: rows become objects of texts, and a number that is a key is the text that JSON has for it. --from is for what standard input is, or a file whose name does not tell; if both names do, for both.",
      `The right side is kept, so put the smaller file there; while it fits in memory, the order is that of the left. ${OUT_OF_CORE}`,
    ],
    examples: [
      {
        line: "partd join events.ndjson users.ndjson --on user=id",
        does: "each event with its user",
      },
      {
        line: "partd join orders.csv customers.csv --on customer --type left -o full.csv",
        does: "all orders, with a customer or without",
      },
      {
        line: "partd join events.ndjson banned.ndjson --on user --type anti",
        does: "events of users that are not in the other file",
      },
    ],
    arguments: [
      { name: "left", required: true, completes: "file", about: "a file, or - for standard input" },
      {
        name: "right",
        required: true,
        completes: "file",
        about: "a file, or - for standard input; the smaller one",
      },
    ],
    options: [
      {
        name: "on",
        value: "FIELD",
        list: true,
        about:
          "what is to be equal: FIELD, or LEFT=RIGHT where the names differ; several separated by commas",
      },
      {
        name: "type",
        value: "KIND",
        choices: ["inner", "left", "right", "full", "semi", "anti"],
        aliases: { outer: "full" },
        completes: ["inner", "left", "right", "full", "semi", "anti"],
        about: "which records without a partner stay (default inner)",
      },
      {
        name: "suffix",
        value: "TEXT",
        about: "behind a name on the right that the left has, too (default _right)",
      },
      {
        name: "missing",
        value: "WHAT",
        completes: "file",
        about:
          "records without the field, of both inputs: keep (the default: they match nothing), error, skip, or the FILE to put them in; null is a value that matches nothing",
        parse: parseSidePath,
      },
      ...WRITE,
      ...READ,
      ...BOUNDS,
      ...COMMON,
    ],
    instead: {
      ...INSTEAD,
      ...Object.fromEntries(
        ["by", "left-on", "right-on", "key", "keys", "field", "fields"].map((name) => [
          name,
          "say --on LEFT=RIGHT",
        ]),
      ),
      ...Object.fromEntries(
        ["left", "right", "full", "outer", "anti", "how"].map((name) => [name, "say --type KIND"]),
      ),
    },
    load: async () => (await import("../records/join.js")).join,
  },
  {
    name: "distinct",
    elsewhere: ["uniq", "unique", "dedup", "dedupe", "deduplicate"],
    summary: "Keep the first record of each value",
    about: [
      `Without --by, of each line: two that are the same byte for byte. ${UNCHANGED} ${OUT_OF_CORE}`,
    ],
    examples: [
      { line: "partd distinct events.ndjson --by user", does: "the first event of each user" },
      { line: "partd distinct a.csv b.csv -o both.csv", does: "rows of two files, each once" },
      { line: "zcat events.ndjson.gz | partd distinct | wc -l", does: "how many lines differ" },
      {
        line: "partd distinct events.ndjson --by user -o users.parquet",
        does: "as Parquet, which the name says",
      },
    ],
    arguments: [INPUTS],
    options: [BY, MISSING, ...WRITE, ...READ, ...BOUNDS, THREADS, ...COMMON],
    instead: INSTEAD,
    load: async () => (await import("../records/distinct.js")).distinct,
  },
  {
    name: "sort",
    summary: "Sort records by fields",
    about: [
      "Records of equal fields keep their order. Numbers come before text, text goes by its characters' codes, and null and missing fields come last. Every field of CSV is text, so that 10 comes before 9: FIELD:numeric compares them as numbers, and what is not a number comes last. Where the first records have numbers only, a remark says so, unless :numeric or :text is given; so it does where they have none in spite of :numeric.",
      `${UNCHANGED} ${OUT_OF_CORE}`,
      "A sort of files into --out that does not fit in memory keeps what it has sorted until the output is complete. After a kill or Ctrl-C, --resume goes on: records that were sorted are read again, and not sorted again.",
    ],
    examples: [
      { line: "partd sort events.ndjson --by ts", does: "by one field" },
      {
        line: "partd sort flights.csv --by origin,delay:desc:numeric -o sorted.csv",
        does: "the longest delays of each origin first",
      },
      {
        line: "partd sort 'logs/*.ndjson' --by ts --memory 512MB --tmp /data",
        does: "more than fits in memory",
      },
    ],
    arguments: [INPUTS],
    options: [
      {
        ...BY,
        about:
          "what to sort by, the first field first, separated by commas; behind each, if need be, :desc, :numeric or :text, as in ts:desc:numeric; a\\:b is a name with a colon",
      },
      {
        name: "resume",
        about: "go on with a run into --out that was killed or interrupted",
      },
      ...WRITE,
      ...READ,
      ...BOUNDS,
      ...COMMON,
    ],
    instead: {
      ...INSTEAD,
      ...Object.fromEntries(["r", "reverse", "desc"].map((name) => [name, "say --by FIELD:desc"])),
      ...Object.fromEntries(["n", "g", "numeric"].map((name) => [name, "say --by FIELD:numeric"])),
      ...Object.fromEntries(["k", "key"].map((name) => [name, "say --by FIELD"])),
      u: "partd distinct keeps the first record of each value",
      unique: "partd distinct keeps the first record of each value",
    },
    load: async () => (await import("../records/sort.js")).sort,
  },
];
