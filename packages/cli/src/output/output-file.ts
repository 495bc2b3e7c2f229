import { lstat, realpath, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { OutputFile } from "@partd/disk";
import type { Call, Options } from "../command/command.js";
import { UsageError } from "../command/failure.js";

/**
 * The file of `--out`. With `force` it replaces an existing file.
 *
 * @throws `UsageError` if the name is taken without `force`, now or when the file is complete.
 */
export async function createOutput(name: string, { force = false } = {}): Promise<OutputFile> {
  const accept = (path: string) => refuseTaken(path, force);
  if (/[/\\]$/.test(name)) {
    const there = await stat(name).catch(() => undefined);
    if (!there) throw new UsageError(`${name} is the name of a directory: name the file in it`);
  }
  try {
    return await OutputFile.create(name, { accept });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOENT" && code !== "ENOTDIR") throw error;
    throw new UsageError(`there is no directory ${dirname(name)} to write ${basename(name)} in`);
  }
}

async function refuseTaken(path: string, force: boolean): Promise<void> {
  const there = await lstat(path).catch(() => undefined);
  if (there === undefined) return;
  if (there.isDirectory()) throw new UsageError(`${path} is a directory, not a file`);
  if (!force) throw new UsageError(`${path} exists; add --force to replace it`);
}

/**
 * Checks that all output files differ: one of two outputs to the same file would be lost, and so would
 * an input that --reject or --missing replaces.
 *
 * @throws `UsageError` if two are the same file.
 */
export async function requireApart({ options }: Call, inputs: readonly string[]): Promise<void> {
  const written = [
    ["--out", options.text("out")],
    ["--reject", options.text("reject")],
    ["--missing", missingFile(options)],
  ] as const;
  const takenBy = new Map<string, string>();
  const [[, out]] = written;
  const folder = out && (await stat(out).catch(() => undefined))?.isDirectory() ? out : undefined;
  for (const [option, path] of written) {
    if (folder !== undefined && path && (await isIn(folder, path))) {
      throw new UsageError(
        `${option} ${path} lies in --out ${folder}, whose files are of values: put it elsewhere`,
      );
    }
    const identity = path && (await identityOf(path));
    if (!identity) continue;
    const other = takenBy.get(identity);
    if (other) throw new UsageError(`${other} and ${option} are the same file, ${path}`);
    takenBy.set(identity, option);
  }
  const printed = options.has("out") ? undefined : await identityOf("/dev/stdout");
  for (const input of inputs) {
    const identity = (await identityOf(input === "-" ? "/dev/stdin" : input)) ?? "";
    if (identity === printed) {
      throw new UsageError(
        "standard output is one of the inputs: write elsewhere, or by --out FILE --force, which replaces it when all is read",
      );
    }
    const option = takenBy.get(identity);
    if (option === undefined || option === "--out") continue; // An output is complete before it replaces its input.
    throw new UsageError(`${option} ${input} is one of the inputs, and would replace it`);
  }
}

/**
 * Checks the folder of --tmp: one that is mistyped would be made, perhaps on a disk that is too small.
 *
 * @throws `UsageError` if there is none of that name.
 */
export async function requireFolder(path: string | undefined): Promise<void> {
  if (path === undefined) return;
  const there = await stat(path).catch(() => undefined);
  if (!there?.isDirectory()) throw new UsageError(`there is no directory ${path} for --tmp`);
}

async function isIn(folder: string, path: string): Promise<boolean> {
  const [one, other] = [folder, dirname(path)].map((name) => realpath(name).catch(() => name));
  return path !== folder && (await one) === (await other);
}

/** Where --missing puts records, if it is a file. */
export function missingFile(options: Options): string | undefined {
  const missing = options.text("missing");
  return missing === "error" || missing === "skip" || missing === "keep" ? undefined : missing;
}

/**
 * Equal for two names of one file; `undefined` for devices and pipes, which may be written to twice.
 */
async function identityOf(path: string): Promise<string | undefined> {
  const there = await stat(path).catch(() => undefined);
  if (there !== undefined) return there.isFile() ? `${there.dev}:${there.ino}` : undefined;
  const folder = await realpath(dirname(path)).catch(() => dirname(path));
  return join(folder, basename(path));
}
