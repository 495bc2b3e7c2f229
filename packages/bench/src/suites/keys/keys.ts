import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import {
  type NodeSide,
  python,
  type Side,
  type Suite,
  type Target,
  type Work,
} from "../../run/suite.js";
import { IS_QUICK, sized } from "../quick.js";

const BATCH = 10_000;
const SIZE = 100;
const GB = sized(1e9, 3e7);

/** Whole processes, each with one store; what they took of memory stands beside their time. */
export const keys: Suite = {
  name: "keys",
  judgesFullSizeAlone: true,
  works: [
    ...(IS_QUICK ? [] : worksOf(1_000)),
    ...worksOf(200_000),
    ...(IS_QUICK ? [] : worksOf(2_000_000)),
    ...(process.env["BENCH_HUGE"] === "1" ? worksOf(20_000_000) : []),
  ],
};

/** 1 GB, or as much more as there are more than 2,000,000 keys. */
function worksOf(count: number): Work[] {
  const bytes = GB * Math.max(1, count / 2e6);
  const batches = bytes / SIZE / BATCH;
  const title = `${bytes / 1e6} MB in 100 B to ${count.toLocaleString("en")} random keys`;
  const common = { unit: "MB", count: bytes / 1e6, rounds: 1, warmups: 0 };
  const side = (name: string) => storeSide(name, count, batches);
  const pythonSide = (work: string) =>
    python("keys", work, { keys: count, batches, batch: BATCH, size: SIZE });
  // A file for each key: an append to many opens as many.
  const files = (work: string, name: string): Record<string, Side> =>
    count > 1_000 ? {} : { FileStore: side(name), "Python File": pythonSide(work) };
  return [
    {
      ...common,
      title: `${title}, appended`,
      sides: {
        "BufferStore(Dict, LogStore), 200 MB": side("write buffer"),
        LogStore: side("write log"),
        "classic-level": side("write level"),
        lmdb: side("write lmdb"),
        ...files("append", "write file"),
      },
      targets: targets(count, { "classic-level": 2 }),
    },
    {
      ...common,
      title: `${title}, opened again and read by entries()`,
      sides: {
        LogStore: side("read log"),
        "LogStore behind a buffer": side("read buffer"),
        "classic-level, in order": side("read level"),
        "lmdb, in order": side("read lmdb"),
        "the same bytes, in sequence": side("read bytes"),
        ...files("read", "read file"),
      },
      targets: targets(count, {
        "classic-level, in order": 3,
        "the same bytes, in sequence": 0.3,
      }),
    },
  ];
}

function targets(count: number, ratios: Readonly<Record<string, number>>): Target[] {
  if (count !== 2_000_000) return [];
  return Object.entries(ratios).map(([against, ratio]) => ({ against, ratio }));
}

/** Fills the store in the timed part, or reads what a process before it has filled. */
function storeSide(side: string, count: number, batches: number): NodeSide {
  const [action, store = ""] = side.split(" ");
  return async (directory) => {
    const path = join(directory, "data");
    const sizes = [String(count), String(batches), String(BATCH), String(SIZE)];
    if (action === "read") await run("write", store, path, sizes);
    let figures: Figures | undefined;
    return {
      async run() {
        figures = await run(action as string, store, path, sizes);
      },
      cpuSeconds: () => figures?.cpuSeconds ?? 0,
      figures: () => ({
        resident: mebibytes(figures?.resident ?? 0),
        ...(figures?.opened === undefined ? {} : { opened: figures.opened }),
      }),
    };
  };
}

/** What `keys-process.ts` prints. */
export interface Figures {
  readonly cpuSeconds: number;
  /** Peak, in bytes. */
  readonly resident: number;
  /** How long it took until a first value was there, and the memory then. */
  readonly opened?: string;
}

const program = fileURLToPath(new URL("./process.js", import.meta.url));

async function run(
  action: string,
  store: string,
  path: string,
  sizes: readonly string[],
): Promise<Figures> {
  const child = spawn(process.execPath, [program, action, store, path, ...sizes], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, "exit")]);
  if (code !== 0) throw new Error(`${action} ${store} ended with ${code}`);
  return JSON.parse(output) as Figures;
}

export function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(0)} MiB`;
}
