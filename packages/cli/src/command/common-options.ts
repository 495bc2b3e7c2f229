import type { Argument, Option } from "./command.js";

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

/** Options of how a data set is reached and decoded. */
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

export const CODECS = ["json", "text", "lines", "v8", "msgpack", "pickle", "ndarray", "arrow"];
export const COMPRESSIONS = ["snappy", "lz4", "zlib", "gzip", "zstd", "bz2", "blosc"];

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

export const STORE: Option = {
  name: "store",
  value: "KIND",
  choices: ["file", "log"],
  completes: ["file", "log"],
  about: "what a directory is, or becomes if it is new (default: what it looks like; new: log)",
};
