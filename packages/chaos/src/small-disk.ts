import { spawnSync } from "node:child_process";
import { closeSync, ftruncateSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";

/** A file system in memory that can be filled. Only root may make one, and not in every container. */
export class SmallDisk {
  readonly #mount: string;

  /** @returns undefined where none can be mounted. */
  static mount(folder: string, megabytes: number): SmallDisk | undefined {
    mkdirSync(folder, { recursive: true });
    const size = `size=${megabytes}m`;
    const { status } = spawnSync("mount", ["-t", "tmpfs", "-o", size, "chaos", folder]);
    return status === 0 ? new SmallDisk(folder) : undefined;
  }

  private constructor(mount: string) {
    this.#mount = mount;
  }

  /** Leaves `rest` bytes, or fewer, until {@link empty}. */
  fill(rest: number): void {
    const file = openSync(this.#filler, "w");
    let length = 0;
    try {
      for (const block = Buffer.alloc(2 ** 16); ; ) length += writeSync(file, block);
    } catch {
      ftruncateSync(file, Math.max(0, length - rest));
    } finally {
      closeSync(file);
    }
  }

  empty(): void {
    rmSync(this.#filler, { force: true });
  }

  unmount(): void {
    spawnSync("umount", ["-l", this.#mount]);
  }

  get #filler(): string {
    return join(this.#mount, "filler");
  }
}
