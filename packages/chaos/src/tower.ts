import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Store } from "@partd/core";

/** What is tried: a store on a disk, with a buffer around it or not, by itself or behind a server. */
export interface Tower {
  readonly name: string;
  readonly disk: "file" | "log";
  readonly buffered: boolean;
  readonly served: boolean;
  /** Whether the server is a worker of `node:cluster`, on a port that another worker asks for, too. */
  readonly clustered?: boolean;
  /** Whether Python's partd takes turns with the stores of one process. */
  readonly turns?: boolean;
}

const stacks = (["file", "log"] as const).flatMap((disk) =>
  [false, true].flatMap((served) =>
    [false, true].map((buffered) => {
      const name = [...(served ? ["client"] : []), ...(buffered ? ["buffer"] : []), disk].join("-");
      return { name, disk, buffered, served };
    }),
  ),
);

export const towers: readonly Tower[] = [
  ...stacks,
  { name: "cluster-file", disk: "file", buffered: false, served: true, clustered: true },
  { name: "python-file", disk: "file", buffered: false, served: false, turns: true },
];

/** Short times, so that a round sees the end of each wait. */
const STORE_OPTIONS = { staleMs: 2_000, lockTimeoutMs: 60_000 };
/** Little, so that a buffer always spills. */
const BUFFER_MEMORY = 200_000;

/**
 * The packages that are tried: those installed, or those of another checkout.
 *
 * @param folder of that checkout's packages, built.
 */
export class Packages {
  readonly #folder: string | undefined;

  constructor(folder: string | undefined) {
    this.#folder = folder === undefined ? undefined : resolve(folder);
  }

  async open({ disk, buffered }: Tower, directory: string): Promise<Store> {
    const below =
      disk === "file"
        ? new (await this.#file()).FileStore(directory, STORE_OPTIONS)
        : new (await this.#log()).LogStore(directory, { ...STORE_OPTIONS, segmentSize: 2 ** 20 });
    if (!buffered) return below;
    const [{ BufferStore }, { Dict }] = await Promise.all([this.#buffer(), this.#core()]);
    return new BufferStore(new Dict(), below, { availableMemory: BUFFER_MEMORY });
  }

  /** A store without a path, in a folder of its own below this one. */
  async openTemporary({ disk }: Tower, dir: string): Promise<Store> {
    if (disk === "file") return new (await this.#file()).FileStore(undefined, { dir });
    return new (await this.#log()).LogStore(undefined, { dir });
  }

  async connect(address: string): Promise<Store> {
    const { Client } = await this.server();
    return new Client(address, { timeout: 60_000 });
  }

  server(): Promise<typeof import("@partd/server")> {
    return this.#folder ? this.#load("server") : import("@partd/server");
  }

  #core(): Promise<typeof import("@partd/core")> {
    return this.#folder ? this.#load("core") : import("@partd/core");
  }

  #file(): Promise<typeof import("@partd/file")> {
    return this.#folder ? this.#load("file") : import("@partd/file");
  }

  #log(): Promise<typeof import("@partd/log")> {
    return this.#folder ? this.#load("log") : import("@partd/log");
  }

  #buffer(): Promise<typeof import("@partd/buffer")> {
    return this.#folder ? this.#load("buffer") : import("@partd/buffer");
  }

  #load<T>(name: string): Promise<T> {
    return import(pathToFileURL(`${this.#folder}/${name}/dist/index.js`).href);
  }
}
