import { Dict, type OperationOptions, type PartdError } from "@partd/core";
import { type AppendOptions, type Batch, type GetOptions, onAbort } from "@partd/core/author";

/** An operation that stands still, before or after it has done its work. */
export interface Stop {
  readonly name: string;
  /** Whether it has done nothing yet, and so may fail. */
  readonly isBefore: boolean;
  go(): void;
  fail(error: PartdError): void;
}

/** A slow store that stops twice in each operation, until it is told to go on or to fail. */
export class SteeredStore extends Dict {
  readonly stops: Stop[] = [];
  /** Whether operations run through. */
  free = false;
  /** Whether one that is given up rejects where it stands, be it that its work has been done. */
  heedsSignals = false;

  release(): void {
    this.free = true;
    for (const stop of this.stops.splice(0)) stop.go();
  }

  protected override _append(batch: Batch, options: AppendOptions): Promise<void> {
    return this.#steer("append", options, () => super._append(batch, options));
  }
  protected override _get(keys: readonly string[], options: GetOptions): Promise<Uint8Array[]> {
    return this.#steer("get", options, () => super._get(keys, options));
  }
  protected override _stream(key: string, options: GetOptions = {}): Promise<Iterable<Uint8Array>> {
    return this.#steer("stream", options, () => super._stream(key));
  }
  protected override _delete(
    keys: readonly string[],
    options: OperationOptions = {},
  ): Promise<void> {
    return this.#steer("delete", options, () => super._delete(keys));
  }
  protected override _set(key: string, value: Uint8Array, options: AppendOptions): Promise<void> {
    return this.#steer("set", options, async () => {
      this.blocks.remove(key);
      this.blocks.append({ keys: [key], values: [value], byteLength: value.byteLength });
    });
  }
  protected override _keys(options: OperationOptions = {}): Promise<Iterable<string>> {
    return this.#steer("keys", options, () => super._keys());
  }
  protected override _flush(options: OperationOptions): Promise<void> {
    return this.#steer("flush", options, () => super._flush(options));
  }

  async #steer<T>(name: string, { signal }: OperationOptions, work: () => Promise<T>): Promise<T> {
    await this.#stop(name, true, signal);
    const result = await work();
    await this.#stop(name, false, signal);
    return result;
  }

  #stop(name: string, isBefore: boolean, signal?: AbortSignal): Promise<void> | undefined {
    if (this.free) return undefined;
    return new Promise((go, fail) => {
      const stop = { name, isBefore, go, fail };
      this.stops.push(stop);
      if (!signal || !this.heedsSignals) return;
      onAbort(signal, () => {
        if (this.stops.includes(stop)) this.stops.splice(this.stops.indexOf(stop), 1);
        fail(signal.reason);
      });
    });
  }
}
