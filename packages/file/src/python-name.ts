import { isTuple, PartdError, type Tuple } from "@partd/core";
import { isEncodedKey } from "./layout.js";

/**
 * The name of the file, inside its directory, in which Python's `partd.File` keeps a key. Python
 * drops every character but `-_.()`, space, letters, digits and `/`, so distinct keys may share a
 * file: `"a!"` and `"a"` do. `decodeKey` of this name is the key under which a `FileStore` of the
 * same directory finds those bytes.
 *
 * @param key a string, a tuple, or the parts of a tuple of any length: `["one"]` is Python's
 *   `("one",)`.
 * @throws `ERR_PARTD_KEY` if Python would keep it outside the directory, or nowhere.
 *
 * @example
 * const store = new FileStore("from-python");
 * await store.get(decodeKey(pythonFileName("price (€)")));
 */
export function pythonFileName(key: string | Tuple | readonly (string | number)[]): string {
  const parts = typeof key === "string" ? [key] : isTuple(key) ? key.parts : key;
  // As os.path.join does: a part that begins with a slash takes the place of all before it.
  let joined = "";
  for (const part of parts.map(String)) {
    if (part.startsWith("/")) joined = part;
    else joined += joined === "" || joined.endsWith("/") ? part : `/${part}`;
  }
  const name = joined.replace(/[^-_.() A-Za-z0-9/]/g, "");
  if (isEncodedKey(name) && !name.startsWith(".partd")) return name;
  throw new PartdError(
    "ERR_PARTD_KEY",
    `Python's File has no file of its own for the key ${JSON.stringify(parts)}: it would be ${JSON.stringify(name)}.`,
  );
}
