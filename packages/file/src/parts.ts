import type { Gate } from "@partd/core/author";
import type { DirectoryLock } from "./directory-lock.js";
import type { Disk } from "./disk.js";
import type { Journal } from "./journal.js";
import type { Layout } from "./layout.js";
import type { OpenFiles } from "./open-files.js";

/** What a store over one directory consists of. */
export interface Parts {
  readonly disk: Disk;
  readonly layout: Layout;
  readonly files: OpenFiles;
  readonly journal: Journal;
  readonly lock: DirectoryLock;
  /** Batches are written exclusively and values read as shared, so that no one sees half a batch. */
  readonly turns: Gate;
  readonly fsync: boolean;
}
