import type { DataName } from "./data.js";

/** A compression on one kind of data. */
export interface Point {
  readonly name: string;
  readonly data: DataName;
  /** Bytes before, for each after. */
  readonly ratio: number;
  /** MB/s of bytes before. */
  readonly compress: number;
  readonly decompress: number;
}

const PANEL = { width: 300, height: 260, left: 52, top: 46, gap: 26 };

/** Ratio against speed, as SVG: a panel for each kind of data, to compress full, to decompress hollow. */
export function drawCompressions(points: readonly Point[]): string {
  const kinds = [...new Set(points.map(({ data }) => data))];
  const names = [...new Set(points.map(({ name }) => name))];
  const width = PANEL.left + kinds.length * (PANEL.width + PANEL.gap);
  const height = PANEL.top + PANEL.height + 76;
  const speeds = points.flatMap(({ compress, decompress }) => [compress, decompress]);
  const x = logScale(Math.min(...speeds) / 1.3, Math.max(...speeds) * 1.3, 0, PANEL.width);
  const ratios = points.map(({ ratio }) => ratio);
  const y = logScale(Math.min(...ratios, 1), Math.max(...ratios) * 1.15, PANEL.height, 0);
  const color = (name: string) => `hsl(${(names.indexOf(name) * 360) / names.length} 65% 42%)`;
  const panels = kinds.map((kind, i) => {
    const left = PANEL.left + i * (PANEL.width + PANEL.gap);
    const marks = points.filter(({ data }) => data === kind).map((point) => mark(point));
    return `<g transform="translate(${left} ${PANEL.top})">
<rect width="${PANEL.width}" height="${PANEL.height}" fill="none" stroke="#bbb"/>
${grid(x, y, i === 0)}
<text x="${PANEL.width / 2}" y="-10" text-anchor="middle" font-weight="bold">${kind}</text>
${marks.join("\n")}
</g>`;
  });
  const legend = names.map((name, i) => {
    const left = PANEL.left + i * 100;
    return `<circle cx="${left}" cy="${height - 14}" r="5" fill="${color(name)}"/><text x="${left + 10}" y="${height - 10}">${name}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">
<rect width="${width}" height="${height}" fill="white"/>
<text x="${PANEL.left}" y="18">Ratio (up) against MB/s (right): full circles compress, hollow ones decompress. Better is up and right.</text>
${panels.join("\n")}
${legend.join("\n")}
</svg>
`;

  function mark({ name, ratio, compress, decompress }: Point): string {
    const [from, to, up] = [x.at(compress), x.at(decompress), y.at(ratio)].map(round);
    return `<g stroke="${color(name)}" stroke-width="2"><line x1="${from}" y1="${up}" x2="${to}" y2="${up}" stroke-opacity="0.35"/><circle cx="${from}" cy="${up}" r="5" fill="${color(name)}"/><circle cx="${to}" cy="${up}" r="5" fill="white"/></g>`;
  }
}

interface Scale {
  readonly low: number;
  readonly high: number;
  at(value: number): number;
}

function logScale(low: number, high: number, from: number, to: number): Scale {
  const span = Math.log(high / low);
  return { low, high, at: (value) => from + ((to - from) * Math.log(value / low)) / span };
}

function grid(x: Scale, y: Scale, withRatios: boolean): string {
  const columns = [5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000].filter(
    (speed) => speed >= x.low && speed <= x.high,
  );
  const rows = [1, 1.5, 2, 3, 5, 8, 12, 20].filter((ratio) => ratio >= y.low && ratio <= y.high);
  return [
    ...columns.map((speed) => {
      const at = round(x.at(speed));
      return `<line x1="${at}" y1="0" x2="${at}" y2="${PANEL.height}" stroke="#eee"/><text x="${at}" y="${PANEL.height + 16}" text-anchor="middle" fill="#555">${speed < 1000 ? speed : `${speed / 1000}k`}</text>`;
    }),
    ...rows.map((ratio) => {
      const at = round(y.at(ratio));
      const label = withRatios
        ? `<text x="-8" y="${at + 4}" text-anchor="end" fill="#555">${ratio}</text>`
        : "";
      return `<line x1="0" y1="${at}" x2="${PANEL.width}" y2="${at}" stroke="#eee"/>${label}`;
    }),
  ].join("\n");
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
