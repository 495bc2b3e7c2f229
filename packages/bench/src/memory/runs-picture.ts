/** A run of one operation; `samples` are bytes of resident memory, evenly spaced in time. */
export interface MeasuredRun {
  readonly work: string;
  readonly seconds: number;
  readonly peak: number;
  readonly bytesSpilled: number;
  readonly samples: readonly number[];
}

/** Draws the resident memory of each run, from its beginning to its end, as an SVG picture. */
export function drawRuns(runs: readonly MeasuredRun[], memory: number, allowed: number): string {
  const most = allowed * 1.1;
  const y = (bytes: number) => Math.round(TOP + (1 - bytes / most) * HEIGHT);
  const mark = (bytes: number, label: string) =>
    `<path d="M${LEFT} ${y(bytes)}h${WIDTH}" stroke="#888" stroke-dasharray="4 4"/>
<text x="${LEFT + 6}" y="${y(bytes) - 5}" fill="#666">${label}, ${Math.round(bytes / 1e6)} MB</text>`;
  const curve = ({ samples }: MeasuredRun, colour: string) => {
    const x = (i: number) => Math.round(LEFT + (i / Math.max(1, samples.length - 1)) * WIDTH);
    const points = samples.map((bytes, i) => `${x(i)},${y(bytes)}`).join(" ");
    return `<polyline fill="none" stroke="${colour}" stroke-width="1.5" points="${points}"/>`;
  };
  const label = ({ work, peak }: MeasuredRun, index: number) => {
    const x = LEFT + (index % 4) * (WIDTH / 4);
    const line = TOP + HEIGHT + 40 + 18 * Math.floor(index / 4);
    return `<text x="${x}" y="${line}" fill="${COLOURS[index]}">${work}, ${Math.round(peak / 1e6)} MB</text>`;
  };
  const rows = Math.ceil(runs.length / 4);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${LEFT + WIDTH + 20} ${TOP + HEIGHT + 40 + 18 * rows}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#fff"/>
<text x="${LEFT}" y="20" font-size="14">Resident memory of each run, from its beginning to its end</text>
${mark(memory, "memory")}
${mark(allowed, "memory + 150 MiB")}
${runs.map((run, index) => curve(run, COLOURS[index]!)).join("\n")}
<path d="M${LEFT} ${TOP}v${HEIGHT}h${WIDTH}" fill="none" stroke="#333"/>
<text x="${LEFT - 8}" y="${TOP + HEIGHT}" text-anchor="end">0</text>
<text x="${LEFT}" y="${TOP + HEIGHT + 18}">begin</text>
<text x="${LEFT + WIDTH}" y="${TOP + HEIGHT + 18}" text-anchor="end">end</text>
${runs.map(label).join("\n")}
</svg>
`;
}

const LEFT = 40;
const TOP = 34;
const WIDTH = 700;
const HEIGHT = 260;
const COLOURS = [
  "#c0392b",
  "#d35400",
  "#b7950b",
  "#239b56",
  "#148f77",
  "#2471a3",
  "#6c3483",
  "#212f3c",
];
