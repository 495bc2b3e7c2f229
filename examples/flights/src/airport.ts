import type { Flight } from "./flights.js";

/** A flight is late from this many minutes on. */
const LATE = 15;

/** What the table says of one airport. */
export class Airport {
  count = 0;
  #delay = 0;
  #late = 0;

  add(flight: Flight): void {
    this.count++;
    this.#delay += flight.delay;
    if (flight.delay >= LATE) this.#late++;
  }

  /** In minutes. */
  get meanDelay(): number {
    return this.#delay / this.count;
  }

  get shareLate(): number {
    return this.#late / this.count;
  }

  equals(other: Airport | undefined): boolean {
    return (
      other !== undefined &&
      this.count === other.count &&
      this.#delay === other.#delay &&
      this.#late === other.#late
    );
  }
}
