import { createRequire } from "node:module";

/** The version in the package.json of `@partd/cli`. */
export function packageVersion(): string {
  const { version } = createRequire(import.meta.url)("@partd/cli/package.json") as Manifest;
  return version;
}

interface Manifest {
  readonly version: string;
}
