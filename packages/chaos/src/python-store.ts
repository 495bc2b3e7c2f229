import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createInterface, type Interface } from "node:readline";
import type { Readable, Writable } from "node:stream";

/** Debian's own: another may stand earlier on the PATH, without its modules. */
const PYTHON = "/usr/bin/python3";

/** The `File` of Python's partd in a long-lived process, as far as lanes ask for it. */
export class PythonStore {
  readonly #directory: string;
  #process: ChildProcess | undefined;
  #answers: Interface | undefined;

  /** Whether Debian's `python3-partd` is installed. */
  static get isThere(): boolean {
    return spawnSync(PYTHON, ["-c", "import partd"], { stdio: "ignore" }).status === 0;
  }

  constructor(directory: string) {
    this.#directory = directory;
  }

  async append(entries: Iterable<readonly [string, Uint8Array]>): Promise<void> {
    const all = [...entries];
    const values = all.map(([, value]) => textOf(value));
    await this.#ask({ kind: "append", keys: all.map(([key]) => key), values });
  }

  get(keys: readonly string[]): Promise<Uint8Array[]> {
    return this.#ask({ kind: "get", keys });
  }

  pop(keys: readonly string[]): Promise<Uint8Array[]> {
    return this.#ask({ kind: "pop", keys });
  }

  async delete(keys: readonly string[]): Promise<void> {
    await this.#ask({ kind: "delete", keys });
  }

  /** Kills its process; the next call starts another. */
  async kill(): Promise<void> {
    const old = this.#process;
    this.#process = undefined;
    if (!old) return;
    const ended = new Promise<void>((resolve) => old.once("exit", () => resolve()));
    old.kill("SIGKILL");
    await ended;
  }

  async #ask(call: { kind: string; keys: readonly string[]; values?: string[] }) {
    this.#process ??= this.#start();
    const answer = new Promise<string>((resolve, reject) => {
      this.#answers?.once("line", resolve);
      this.#process?.once("exit", (code) => reject(new Error(`Python ended with ${code}`)));
    });
    (this.#process.stdin as Writable).write(`${JSON.stringify(call)}\n`);
    const values = JSON.parse(await answer) as string[];
    return values.map((value) => Buffer.from(value, "latin1"));
  }

  #start(): ChildProcess {
    const child = spawn(PYTHON, ["-c", PROGRAM, this.#directory], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#answers = createInterface({ input: child.stdout as Readable });
    return child;
  }
}

function textOf(value: Uint8Array): string {
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("latin1");
}

const PROGRAM = `
import json, sys
from partd import File
store = File(sys.argv[1])
for line in sys.stdin:
    call = json.loads(line)
    kind, keys, answer = call["kind"], call["keys"], []
    if kind == "append":
        data = {}
        for key, value in zip(keys, call["values"]):
            data[key] = data.get(key, b"") + value.encode("latin1")
        store.append(data)
    if kind in ("get", "pop"):
        answer = [value.decode("latin1") for value in store.get(keys)]
    if kind in ("delete", "pop"):
        store.delete(keys)
    print(json.dumps(answer), flush=True)
`;
