import { PartdError } from "@partd/core";

/** Loads a package that only some programs need, and that they install themselves. */
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

/** @throws `ERR_PARTD_CORRUPT` naming the file, for what the package says of it. */
export function damaged(source: string, format: string, cause: unknown): PartdError {
  return new PartdError(
    "ERR_PARTD_CORRUPT",
    `${source} cannot be read as ${format}: ${(cause as Error).message}`,
    { path: source.startsWith("<") ? undefined : source, cause },
  );
}
