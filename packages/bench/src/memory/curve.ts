/** Memory at one moment, in bytes; `resident` is what was added to the process's. */
export interface Sample {
  readonly seconds: number;
  readonly resident: number;
  readonly held: number;
}

/** Draws memory over time as an SVG picture. */
export function drawCurve(
  samples: readonly Sample[],
  marks: { readonly bound: number; readonly allowed: number },
): string {
  const seconds = Math.max(...samples.map((sample) => sample.seconds));
  const most = marks.allowed * 1.1;
  const x = (value: number) => (LEFT + (value / seconds) * PLOT_WIDTH).toFixed(1);
  const y = (value: number) => (TOP + (1 - value / most) * PLOT_HEIGHT).toFixed(1);
  const line = (of: (sample: Sample) => number, colour: string) =>
    `<polyline fill="none" stroke="${colour}" stroke-width="1.5" points="${samples
      .map((sample) => `${x(sample.seconds)},${y(of(sample))}`)
      .join(" ")}"/>`;
  const mark = (value: number, label: string) =>
    `<line x1="${LEFT}" x2="${LEFT + PLOT_WIDTH}" y1="${y(value)}" y2="${y(value)}" stroke="#888" stroke-dasharray="4 4"/>
<text x="${LEFT + PLOT_WIDTH - 6}" y="${Number(y(value)) - 5}" text-anchor="end" fill="#666">${label}</text>`;
  const ticksX = steps(seconds, 8).map(
    (value) =>
      `<text x="${x(value)}" y="${TOP + PLOT_HEIGHT + 18}" text-anchor="middle">${value}</text>`,
  );
  const ticksY = steps(most / 1e6, 7).map(
    (value) =>
      `<line x1="${LEFT}" x2="${LEFT + PLOT_WIDTH}" y1="${y(value * 1e6)}" y2="${y(value * 1e6)}" stroke="#eee"/>
<text x="${LEFT - 8}" y="${Number(y(value * 1e6)) + 4}" text-anchor="end">${value}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">
<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>
<text x="${LEFT}" y="20" font-size="14">Memory while 2 GB are appended through a bound of ${marks.bound / 1e6} MB</text>
${ticksY.join("\n")}
${ticksX.join("\n")}
<text x="${LEFT + PLOT_WIDTH / 2}" y="${HEIGHT - 10}" text-anchor="middle">seconds</text>
<text x="16" y="${TOP + PLOT_HEIGHT / 2}" text-anchor="middle" transform="rotate(-90 16 ${TOP + PLOT_HEIGHT / 2})">MB</text>
${mark(marks.bound, `availableMemory, ${marks.bound / 1e6} MB`)}
${mark(marks.allowed, `1.25 × availableMemory + 64 MiB, ${Math.round(marks.allowed / 1e6)} MB`)}
${line((sample) => sample.resident, "#c0392b")}
${line((sample) => sample.held, "#2471a3")}
<text x="${LEFT + PLOT_WIDTH - 6}" y="${TOP + PLOT_HEIGHT - 26}" text-anchor="end" fill="#c0392b">resident memory of the process, growth</text>
<text x="${LEFT + PLOT_WIDTH - 6}" y="${TOP + PLOT_HEIGHT - 10}" text-anchor="end" fill="#2471a3">memory held by the buffer</text>
<path d="M${LEFT} ${TOP}V${TOP + PLOT_HEIGHT}H${LEFT + PLOT_WIDTH}" fill="none" stroke="#333"/>
</svg>
`;
}

const WIDTH = 760;
const HEIGHT = 380;
const LEFT = 60;
const TOP = 34;
const PLOT_WIDTH = WIDTH - LEFT - 20;
const PLOT_HEIGHT = HEIGHT - TOP - 56;

/** Round numbers from 0 to `most`, about `count` of them. */
function steps(most: number, count: number): number[] {
  const rough = most / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= rough) as number) * power;
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, i) =>
    Number((i * step).toFixed(6)),
  );
}
