import { type Dirent, promises } from "node:fs";
import { Pace } from "@partd/core/author";
import { errnoOf } from "./disk.js";
import { isEncodedKey } from "./layout.js";
import type { Parts } from "./parts.js";

/**
 * The encoded keys in a directory, without what is not a key's file.
 *
 * @param empty whether files without a byte count, which a key that reads as empty may have.
 */
export async function listKeys(
  { disk, layout }: Pick<Parts, "disk" | "layout">,
  {
    empty = false,
    signal,
  }: { readonly empty?: boolean; readonly signal?: AbortSignal | undefined },
): Promise<string[]> {
  const found: string[] = [];
  const pace = new Pace();
  const consider = async (key: string, aside: boolean) => {
    const length = disk.run(layout.lengthOf(key, aside));
    if (empty || (typeof length === "number" ? length : await length) > 0) found.push(key);
    if (!pace.due) return;
    await pace.rest();
    signal?.throwIfAborted();
  };
  const folders = [""];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for await (const entry of entriesOf(layout.folder(folder))) {
      const text = folder === "" ? entry.name : `${folder}/${entry.name}`;
      if (!isEncodedKey(text)) continue;
      if (entry.isDirectory()) folders.push(text);
      else await consider(text, false);
    }
  }
  for (const key of await disk.run(layout.listAside())) await consider(key, true);
  return found;
}

/** A few at a time, since a folder may hold millions. */
async function* entriesOf(path: string): AsyncGenerator<Dirent, void, undefined> {
  try {
    yield* await promises.opendir(path, { bufferSize: 1024 });
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}
