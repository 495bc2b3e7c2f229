/** Reads under way. What they read must not move to the slow store before they have read that. */
export class Reads {
  readonly #active = new Set<Read>();

  get size(): number {
    return this.#active.size;
  }

  /** Begins a read of the keys. */
  enter(keys: readonly string[]): Read {
    const read = new Read(keys);
    this.#active.add(read);
    return read;
  }

  leave(read: Read): void {
    this.#active.delete(read);
  }

  has(key: string): boolean {
    for (const read of this.#active) if (read.has(key)) return true;
    return false;
  }
}

class Read {
  readonly #keys: readonly string[];
  #set: Set<string> | undefined;

  constructor(keys: readonly string[]) {
    this.#keys = keys;
  }

  /** The set is made when it is first asked for, since most reads meet no spill. */
  has(key: string): boolean {
    if (this.#keys.length < 16) return this.#keys.includes(key);
    this.#set ??= new Set(this.#keys);
    return this.#set.has(key);
  }
}
