import { PartdError } from "@partd/core";
import { nearest } from "@partd/core/author";

/** Loads an optional package, which programs that need it install themselves. */
export async function loadPeer<M>(name: string, load: () => Promise<M>): Promise<M> {
  try {
    return await load();
  } catch (cause) {
    throw new PartdError(
      "ERR_PARTD_VALUE",
      `This needs the package ${name}: npm install ${name}.`,
      { cause },
    );
  }
}

/** An `ERR_PARTD_CORRUPT` that names the file, for an error of the package. */
export function damaged(source: string, format: string, cause: unknown): PartdError {
  return new PartdError(
    "ERR_PARTD_CORRUPT",
    `${source} cannot be read as ${format}: ${(cause as Error).message}`,
    { path: source.startsWith("<") ? undefined : source, cause },
  );
}

/** @throws `ERR_PARTD_VALUE` for a column that is asked for and not there. */
export function checkColumns(
  source: string,
  there: readonly string[],
  asked: readonly string[] = [],
): void {
  const unknown = asked.find((name) => !there.includes(name));
  if (unknown === undefined) return;
  const near = nearest(unknown, there);
  const hint =
    near === undefined ? `It has ${there.join(", ") || "none"}.` : `Did you mean ${near}?`;
  throw new PartdError(
    "ERR_PARTD_VALUE",
    `${source} has no column ${JSON.stringify(unknown)}. ${hint}`,
    { path: source.startsWith("<") ? undefined : source },
  );
}

/** @throws `ERR_PARTD_VALUE` for two columns of one name, as a row has one value of a name. */
export function checkNames(source: string, names: readonly string[]): void {
  const double = names.find((name, i) => names.indexOf(name) < i);
  if (double === undefined) return;
  throw new PartdError(
    "ERR_PARTD_VALUE",
    `${source} has two columns named ${JSON.stringify(double)}: give them different names where it is written.`,
    { path: source.startsWith("<") ? undefined : source },
  );
}
