/** What a module of ours exports, whatever else it does. */
export interface WasmExports {
  readonly memory: WebAssembly.Memory;
  malloc(byteLength: number): number;
  free(address: number): void;
}

/**
 * A WebAssembly module that is embedded in the code as base64 text, so that neither a file nor the
 * network is needed to find it. It is compiled at the first use.
 */
export class EmbeddedWasm<E extends WasmExports> {
  readonly #base64: string;
  #module: Promise<WebAssembly.Module> | undefined;
  /** Instances that no one uses at the moment. */
  readonly #idle: E[] = [];

  constructor(base64: string) {
    this.#base64 = base64;
  }

  /**
   * Runs `work` on an instance that it has to itself. One on which it fails, or whose memory has
   * grown large, is given up: its state is unknown, and WebAssembly never gives memory back.
   */
  async use<T>(work: (exports: E) => T | Promise<T>): Promise<T> {
    const exports = this.#idle.pop() ?? (await this.#instantiate());
    const result = await work(exports);
    if (exports.memory.buffer.byteLength <= MAX_KEPT_BYTES && this.#idle.length < MAX_IDLE) {
      this.#idle.push(exports);
    }
    return result;
  }

  async #instantiate(): Promise<E> {
    this.#module ??= WebAssembly.compile(fromBase64(this.#base64));
    const { exports } = await WebAssembly.instantiate(await this.#module, {});
    (exports as { _initialize?: () => void })._initialize?.();
    return exports as unknown as E;
  }
}

const MAX_KEPT_BYTES = 64 * 2 ** 20;
const MAX_IDLE = 4;

/** Memory of the module for `byteLength` bytes. */
export function wasmAllocate(exports: WasmExports, byteLength: number): number {
  const address = exports.malloc(byteLength) >>> 0; // Addresses above 2 GiB come out negative.
  if (address === 0) throw new Error(`there is no memory for ${byteLength} bytes.`);
  return address;
}

/** The module's memory at an address: valid until the next allocation. */
export function wasmBytes(exports: WasmExports, address: number, byteLength: number): Uint8Array {
  return new Uint8Array(exports.memory.buffer, address, byteLength);
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const characters = atob(text);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
}
