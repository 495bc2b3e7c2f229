import { PartdError } from "@partd/core";

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
