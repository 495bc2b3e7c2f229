import { createRequire } from "node:module";

/** That of `@partd/cli`, which its package.json says. */
export function packageVersion(): string {
  const { version } = createRequire(import.meta.url)("@partd/cli/package.json") as Manifest;
  return version;
}

interface Manifest {
  readonly version: string;
}
