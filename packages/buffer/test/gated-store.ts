import { Dict } from "@partd/core";
import type { AppendOptions, Batch } from "@partd/core/author";

/** A slow store whose appends can be stopped on their way, before or after they land, or refused. */
export class GatedStore extends Dict {
  /** What appends are refused with. */
  refuse: unknown;
  /** How many appends have begun, and how many have landed. */
  begun = 0;
  landed = 0;
  /** The batches that have landed, in order. */
  readonly batches: { key: string; bytes: number }[][] = [];
  closed = 0;
  /** Called when it closes, while its bytes are still there. */
  onClose: () => Promise<void> = async () => {};
  #gate: Gate | undefined;
  #landsFirst = false;
  #watchers: (() => void)[] = [];

  /** Stops appends before their bytes are there. */
  stop(): void {
    this.#gate = new Gate();
    this.#landsFirst = false;
  }

  /** Stops appends whose bytes are there, so that the caller does not know yet. */
  stopAfterLanding(): void {
    this.#gate = new Gate();
    this.#landsFirst = true;
  }

  /** Lets those that were stopped go on, and later ones pass. */
  go(): void {
    const gate = this.#gate;
    this.#gate = undefined;
    gate?.open();
  }

  /** Resolves when `count` appends have begun in all. */
  async until(count: number): Promise<void> {
    while (this.begun < count) await new Promise<void>((wake) => this.#watchers.push(wake));
  }

  protected override async _append(batch: Batch, options: AppendOptions): Promise<void> {
    this.begun++;
    for (const wake of this.#watchers.splice(0)) wake();
    const gate = this.#gate;
    const landsFirst = gate !== undefined && this.#landsFirst;
    if (landsFirst) await this.#land(batch, options);
    await gate?.opened;
    if (this.refuse !== undefined) throw this.refuse;
    if (!landsFirst) await this.#land(batch, options);
  }

  protected override async _close(): Promise<void> {
    this.closed++;
    await this.onClose();
    await super._close();
  }

  async #land(batch: Batch, options: AppendOptions): Promise<void> {
    await super._append(batch, options);
    this.landed++;
    this.batches.push(
      batch.keys.map((key, i) => ({ key, bytes: (batch.values[i] as Uint8Array).byteLength })),
    );
  }
}

class Gate {
  readonly opened: Promise<void>;
  open: () => void = () => {};

  constructor() {
    this.opened = new Promise((resolve) => {
      this.open = resolve;
    });
  }
}
