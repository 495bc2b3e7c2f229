/** Gives each key that the store has met a number. */
export class KeyTable {
  readonly #numbers = new Map<string, number>();
  readonly #texts: string[] = [];

  get size(): number {
    return this.#texts.length;
  }

  /** The key's number, a new one if it has none. */
  number(key: string): number {
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.#texts.push(key) - 1;
      this.#numbers.set(key, number);
    }
    return number;
  }

  find(key: string): number | undefined {
    return this.#numbers.get(key);
  }

  text(number: number): string {
    return this.#texts[number] as string;
  }
}
