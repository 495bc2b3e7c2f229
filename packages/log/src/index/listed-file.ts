import { closeSync } from "node:fs";
import { systemError } from "@partd/disk";
import { forget, isNamed, type OpenFile, openOrMakeRoom, remember } from "../open-files.js";

/**
 * An index whose keys are being listed. It stays open between reads, as it may be removed
 * meanwhile; where descriptors run out it is closed as long as it has its name.
 */
export class ListedFile implements OpenFile {
  readonly #path: string;
  #fd: number | undefined;
  #isRead = false;

  constructor(path: string) {
    this.#path = path;
  }

  async reading<T>(read: (fd: number) => Promise<T>): Promise<T> {
    this.#isRead = true;
    try {
      return await read(this.#fd ?? this.#open());
    } finally {
      this.#isRead = false;
    }
  }

  rest(scarce: boolean): void {
    if (scarce && !this.#isRead && this.#fd !== undefined && isNamed(this.#fd)) this.close();
  }

  close(): void {
    const fd = this.#fd;
    this.#fd = undefined;
    if (fd === undefined) return;
    forget(this);
    closeSync(fd);
  }

  #open(): number {
    try {
      this.#fd = openOrMakeRoom(this.#path, "r");
    } catch (cause) {
      throw systemError({ action: "open", path: this.#path }, cause);
    }
    remember(this);
    return this.#fd;
  }
}
