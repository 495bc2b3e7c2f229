import { PartdError } from "@partd/core";
import type { PartitionFinder } from "../partition/partitioner.js";
import type { Journal, JournalState, Settings } from "./journal.js";

/**
 * The settings on which all processes of a shuffle have to agree: the first one that writes records its own
 * in the journal, and the others compare theirs.
 */
export class SharedSettings {
  readonly #journal: Journal;
  /** The name of the shuffle. */
  readonly #name: string;
  readonly #own: Settings;
  #agreed: Promise<Settings> | undefined;

  /** @param by the fields of the key; `undefined` if a function makes it, which cannot be compared. */
  constructor(
    journal: Journal,
    name: string,
    { count: partitions, name: partitioner }: PartitionFinder,
    by: readonly string[] | undefined,
  ) {
    this.#journal = journal;
    this.#name = name;
    this.#own = { partitions, by, partitioner };
  }

  /**
   * Records our settings in the journal unless some are there. After a failure the next call tries again.
   *
   * @returns those in the journal.
   * @throws `ERR_PARTD_VALUE` if ours differ from them.
   */
  agree(): Promise<Settings> {
    this.#agreed ??= this.#recordOrCompare();
    this.#agreed.catch(() => this.forget());
    return this.#agreed;
  }

  async #recordOrCompare(): Promise<Settings> {
    let { settings } = await this.#journal.read();
    if (settings === undefined) {
      const own = { ...this.#own, id: crypto.randomUUID() };
      const state = await this.#journal.update((state) => (state.settings ? undefined : own));
      settings = state.settings ?? own;
    }
    this.check(settings);
    return settings;
  }

  /**
   * Checks that the journal still has the settings that were agreed on.
   *
   * @throws `ERR_PARTD_CORRUPT` if it has none, or those of a later shuffle.
   */
  checkKept({ settings }: JournalState, agreed: Settings): void {
    if (settings !== undefined && settings.id === agreed.id) return;
    this.forget();
    throw new PartdError(
      "ERR_PARTD_CORRUPT",
      `The store has lost what the shuffle "${this.#name}" had recorded in it: it was dropped, or its server has kept it in memory alone. Run all tasks again.`,
    );
  }

  /** Forgets the agreement, because the journal is gone. */
  forget(): void {
    this.#agreed = undefined;
  }

  /**
   * Compares ours with the settings in the journal, if it has some.
   *
   * @throws `ERR_PARTD_VALUE` if they differ.
   */
  check(theirs: Settings | undefined): void {
    if (theirs === undefined) return;
    const own = this.#own;
    if (theirs.partitions !== own.partitions) {
      throw new PartdError(
        "ERR_PARTD_VALUE",
        `The shuffle "${this.#name}" was begun with ${theirs.partitions} partitions, and this one has ${own.partitions}: give all processes the same number, or another name.`,
      );
    }
    if (theirs.partitioner !== undefined && theirs.partitioner !== own.partitioner) {
      throw new PartdError(
        "ERR_PARTD_VALUE",
        `The shuffle "${this.#name}" was begun with another partitioner (${theirs.partitioner.split(" ")[0]}): give all processes the same partitioner, or another name.`,
      );
    }
    const [theirKey, ownKey] = [theirs.by, own.by].map((by) => by && JSON.stringify(by));
    if (theirKey === undefined || ownKey === undefined || theirKey === ownKey) return;
    throw new PartdError(
      "ERR_PARTD_VALUE",
      `The shuffle "${this.#name}" was begun by the key ${theirKey}, and this one has ${ownKey}: give all processes the same by, or another name.`,
    );
  }
}
