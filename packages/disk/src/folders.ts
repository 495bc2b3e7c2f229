import fs from "node:fs";
import { dirname } from "node:path";
import { PartdError } from "@partd/core";
import { errnoOf } from "./system-error.js";

/**
 * Creates a folder, and those above it, unless it is there. Node's own `recursive` never ends in folders
 * such as those of `/proc`, where `mkdir` fails with ENOENT although the folder above is there.
 */
export function makeFolders(path: string, mode = 0o777): void {
  try {
    fs.mkdirSync(path, mode);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") {
      if (fs.statSync(path, { throwIfNoEntry: false })?.isDirectory()) return;
      if (fs.lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink()) throw leadsNowhere(path);
      throw error;
    }
    const above = dirname(path);
    if (fs.existsSync(above)) throw error;
    makeFolders(above, mode);
    makeFolders(path, mode);
  }
}

/** @throws `ERR_PARTD_IO` if a symbolic link is there: through it, files elsewhere would change. */
export function refuseLink(path: string): void {
  try {
    if (!fs.lstatSync(path).isSymbolicLink()) return;
  } catch {
    return; // It is not there, or its use will tell.
  }
  throw new PartdError(
    "ERR_PARTD_IO",
    `${path} is a symbolic link, which may lead out of the directory; put what it points to in its place.`,
    { path },
  );
}

function leadsNowhere(path: string): Error {
  const message = `ENOENT: a symbolic link that leads to nothing, mkdir '${path}'`;
  return Object.assign(new Error(message), { code: "ENOENT", syscall: "mkdir", path });
}
