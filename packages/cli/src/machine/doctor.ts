import { existsSync, readFileSync } from "node:fs";
import { stat } from "node:fs/promises";
import { availableParallelism, freemem, platform, release, tmpdir, totalmem } from "node:os";
import * as zlib from "node:zlib";
import type { Action, Call } from "../command/command.js";
import { UsageError } from "../command/failure.js";
import { showBytes, showCount } from "../command/quantity.js";
import { freeBytes } from "../output/disk-space.js";
import { expandInputs } from "../records/inputs.js";
import type { Terminal } from "../terminal/terminal.js";
import { openFileLimit } from "./open-files.js";
import { packageVersion } from "./version.js";

/** `partd doctor`. */
export const doctor: Action = async (call) => {
  const { terminal } = call;
  const report = await reportOf(call);
  if (terminal.json) {
    await terminal.line(JSON.stringify(report));
    return undefined;
  }
  for (const [name, text] of rowsOf(report)) await terminal.line(`${name.padEnd(12)} ${text}`);
  await writeInputs(report, terminal);
  return undefined;
};

type Report = Awaited<ReturnType<typeof reportOf>>;

async function reportOf({ options, arguments: words }: Call) {
  const tmp = options.text("tmp") ?? tmpdir();
  return {
    partd: packageVersion(),
    node: process.version,
    system: `${platform()} ${release()} ${process.arch}`,
    cores: availableParallelism(),
    memory: memoryOf(options.number("memory")),
    temporary: {
      directory: tmp,
      isThere: existsSync(tmp),
      free: await freeBytes(tmp),
      inMemory: isInMemory(tmp),
    },
    current: { directory: process.cwd(), free: await freeBytes(".") },
    openFiles: openFileLimit(),
    zstd: "createZstdDecompress" in zlib ? "built in" : "by WebAssembly",
    inputs: await inputsOf(words),
  };
}

function rowsOf(report: Report): readonly (readonly [name: string, text: string])[] {
  const { memory, temporary, current } = report;
  return [
    ["partd", report.partd],
    ["Node", report.node],
    ["system", `${report.system}, ${report.cores} ${report.cores === 1 ? "core" : "cores"}`],
    [
      "memory",
      `${showBytes(memory.available)} of ${showBytes(memory.total)} can be had; a run takes ${showBytes(memory.run)}, and --memory changes that`,
    ],
    [
      "temporary",
      `${temporary.directory}: ${showFree(temporary.free)}${temporary.isThere ? "" : "; there is no such directory: make it, or set --tmp or TMPDIR to another"}${temporary.inMemory ? "; it is held in memory, so set --tmp or TMPDIR to a place on a disk" : ""}`,
    ],
    ["this folder", showFree(current.free)],
    [
      "open files",
      report.openFiles === undefined ? "limit unknown" : `at most ${showCount(report.openFiles)}`,
    ],
    ["zstd", report.zstd],
  ];
}

/** What a run over the inputs would need, and whether there is room for it. */
async function writeInputs({ memory, temporary, current, inputs }: Report, terminal: Terminal) {
  if (inputs === undefined) return;
  await terminal.line("");
  const packed = inputs.packed > 0 ? `, ${showCount(inputs.packed)} of them packed` : "";
  await terminal.line(
    `inputs       ${showCount(inputs.files)} ${inputs.files === 1 ? "file" : "files"}, ${showBytes(inputs.bytes)}${packed}`,
  );
  await terminal.line(
    inputs.estimate <= memory.run
      ? "             fits in memory: a run writes nothing temporary"
      : `             a sort, split or join would write about ${showBytes(inputs.estimate)} of temporary data and as much output`,
  );
  for (const [where, free] of [
    [temporary.directory, temporary.free],
    ["this folder", current.free],
  ] as const) {
    if (inputs.estimate > memory.run && free < inputs.estimate) {
      await terminal.line(
        `             ${terminal.red("too little")}: ${where} has ${showBytes(free)} free`,
      );
    }
  }
}

function memoryOf(asked: number | undefined) {
  const limit = process.constrainedMemory();
  const total = limit > 0 && limit < totalmem() ? limit : totalmem();
  const available = Math.min(total, availableMemory());
  return { total, available, run: asked ?? Math.round(total / 4) };
}

/** Free memory and what the page cache would give up, if the system tells. */
function availableMemory(): number {
  try {
    const match = /^MemAvailable:\s+(\d+) kB/m.exec(readFileSync("/proc/meminfo", "utf8"));
    return match ? Number(match[1]) * 1024 : freemem();
  } catch {
    return freemem();
  }
}

/** Whether a directory of a Linux system lies on a file system in memory. */
function isInMemory(directory: string): boolean {
  if (!existsSync("/proc/self/mounts")) return false;
  const mounts = readFileSync("/proc/self/mounts", "utf8").split("\n");
  let longest = "";
  let type = "";
  for (const mount of mounts) {
    const [, at = "", kind = ""] = mount.split(" ");
    const within = directory === at || directory.startsWith(at === "/" ? at : `${at}/`);
    if (!within || at.length < longest.length) continue;
    longest = at;
    type = kind;
  }
  return type === "tmpfs" || type === "ramfs";
}

async function inputsOf(words: readonly string[]) {
  if (words.length === 0) return undefined;
  const paths = await expandInputs(words);
  let bytes = 0;
  let packed = 0;
  let estimate = 0;
  for (const path of paths) {
    if (path === "-") throw new UsageError("doctor looks at files, not at standard input");
    const { size } = await stat(path);
    const isPacked = /\.(gz|zst|parquet)$/i.test(path);
    bytes += size;
    packed += isPacked ? 1 : 0;
    estimate += isPacked ? size * UNPACKED : size;
  }
  return { files: paths.length, bytes, packed, estimate };
}

function showFree(bytes: number): string {
  return Number.isFinite(bytes) ? `${showBytes(bytes)} free` : "free space unknown";
}

/** How many times longer compressed text usually is when it is decompressed. */
const UNPACKED = 8;
