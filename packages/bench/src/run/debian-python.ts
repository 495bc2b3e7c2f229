import { spawnSync } from "node:child_process";

let found: string | undefined;

/** The Python that has partd: Debian's own, whatever other Python stands earlier on the PATH. */
export function debianPython(): string {
  found ??= ["/usr/bin/python3", "python3"].find(
    (python) => spawnSync(python, ["-c", "import partd"]).status === 0,
  );
  if (!found)
    throw new Error("The peers need Python's partd (Debian: apt-get install python3-partd).");
  return found;
}
