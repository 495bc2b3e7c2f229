import { showBytes, showCount, showSeconds } from "../command/quantity.js";

/** The progress of some work. Unknown figures are left out. */
export interface Figures {
  readonly phase?: string | undefined;
  readonly bytesDone?: number | undefined;
  readonly bytesTotal?: number | undefined;
  readonly records?: number | undefined;
  readonly bytesSpilled?: number | undefined;
}

/**
 * A bar on standard error, at most ten times a second, or a JSON object a line, at most once a second.
 */
export class Progress implements Disposable {
  readonly #label: string;
  readonly #kind: "bar" | "json" | "none";
  readonly #started = performance.now();
  #lastShown: number;
  #visible = false;

  constructor(label: string, kind: "bar" | "json" | "none") {
    this.#label = label;
    this.#kind = kind;
    this.#lastShown = kind === "json" ? Number.NEGATIVE_INFINITY : this.#started;
  }

  show(figures: Figures): void {
    if (this.#kind === "none") return;
    const now = performance.now();
    if (now - this.#lastShown < (this.#kind === "bar" ? 100 : 1000)) return;
    this.#lastShown = now;
    const seconds = (now - this.#started) / 1000;
    if (this.#kind === "json") {
      const memory = process.memoryUsage.rss();
      const { phase = this.#label, ...rest } = figures;
      process.stderr.write(
        `${JSON.stringify({ progress: { phase, ...rest, memory, seconds } })}\n`,
      );
      return;
    }
    // A longer line would go on in the next one, and stay.
    const width = (process.stderr.columns || 80) - 1;
    process.stderr.write(`\r${barLine(this.#label, figures, seconds, width)}${TO_END_OF_LINE}`);
    this.#visible = true;
  }

  /** Clears the line, so that something else can be written there. */
  hide(): void {
    if (!this.#visible) return;
    process.stderr.write(`\r${TO_END_OF_LINE}`);
    this.#visible = false;
  }

  [Symbol.dispose](): void {
    this.hide();
  }
}

/** The line for a screen of `width` columns. */
export function barLine(label: string, figures: Figures, seconds: number, width: number): string {
  const { phase = label, bytesDone = 0, bytesTotal, records, bytesSpilled } = figures;
  const share = bytesTotal ? Math.min(1, bytesDone / bytesTotal) : undefined;
  const rate = seconds > 0 ? bytesDone / seconds : 0;
  const parts = [
    share === undefined ? showBytes(bytesDone) : `${Math.floor(share * 100)}%`,
    bytesDone > 0 ? `${showBytes(rate)}/s` : "",
    share && rate > 0 ? `${showSeconds(((bytesTotal as number) - bytesDone) / rate)} left` : "",
    records === undefined ? "" : `${showCount(records)} records`,
    bytesSpilled ? `${showBytes(bytesSpilled)} on disk` : "",
    `${showBytes(process.memoryUsage.rss())} memory`,
  ];
  const shown = parts.filter((part) => part !== "");
  // On a narrow screen the last parts are dropped until the line fits.
  while (shown.length > 1 && lineLength(phase, shown) > width) shown.pop();
  const text = shown.join("  ");
  const room = Math.min(30, width - lineLength(phase, shown) - 2);
  const bar = share === undefined || room < 5 ? "" : `${meter(share, room)}  `;
  return `${phase}  ${bar}${text}`.slice(0, width);
}

function lineLength(phase: string, parts: readonly string[]): number {
  return phase.length + parts.reduce((length, part) => length + part.length + 2, 0);
}

/** A bar of `width` columns, in steps of an eighth of a column. */
export function meter(share: number, width: number): string {
  const eighths = Math.round(Math.max(0, Math.min(1, share)) * width * 8);
  const rest = eighths % 8;
  const full = "█".repeat(Math.floor(eighths / 8));
  return `${full}${rest ? String.fromCharCode(0x2590 - rest) : ""}`.padEnd(width, " ");
}

const TO_END_OF_LINE = "\u001b[K";
