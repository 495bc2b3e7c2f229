import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { PartdError } from "@partd/core";

/**
 * A store's directory as an absolute path: what is relative counts from where the process is now.
 *
 * @param store the class's name, for the message.
 * @throws `ERR_PARTD_IO` if it is neither a string of at least one character nor a `file:` URL.
 */
export function absolutePath(path: string | URL, store: string): string {
  if (typeof path === "string" && path !== "" && !path.includes("\0")) return resolve(path);
  if (path instanceof URL && path.protocol === "file:") return fileURLToPath(path);
  throw new PartdError(
    "ERR_PARTD_IO",
    `A ${store}'s path is a string or a file: URL, not ${JSON.stringify(String(path))}.`,
  );
}
