/** A line of a chart: places as [x, bytes]. */
export interface Line {
  readonly label: string;
  readonly colour: string;
  readonly points: readonly (readonly [x: number, bytes: number])[];
}

/** Draws bytes of memory over something as an SVG picture. */
export function drawChart({
  title,
  unit,
  bound,
  allowed,
  lines,
}: {
  readonly title: string;
  /** What x counts. */
  readonly unit: string;
  readonly bound: number;
  readonly allowed: number;
  readonly lines: readonly Line[];
}): string {
  const mostX = Math.max(...lines.flatMap(({ points }) => points.map(([x]) => x)));
  const most = allowed * 1.1;
  const x = (value: number) => (LEFT + (value / mostX) * PLOT_WIDTH).toFixed(1);
  const y = (value: number) => (TOP + (1 - value / most) * PLOT_HEIGHT).toFixed(1);
  const mark = (value: number, label: string) =>
    `<line x1="${LEFT}" x2="${LEFT + PLOT_WIDTH}" y1="${y(value)}" y2="${y(value)}" stroke="#888" stroke-dasharray="4 4"/>
<text x="${LEFT + PLOT_WIDTH - 6}" y="${Number(y(value)) - 5}" text-anchor="end" fill="#666">${label}</text>`;
  const ticksX = steps(mostX, 8).map(
    (value) =>
      `<text x="${x(value)}" y="${TOP + PLOT_HEIGHT + 18}" text-anchor="middle">${value}</text>`,
  );
  const ticksY = steps(most / 1e6, 7).map(
    (value) =>
      `<line x1="${LEFT}" x2="${LEFT + PLOT_WIDTH}" y1="${y(value * 1e6)}" y2="${y(value * 1e6)}" stroke="#eee"/>
<text x="${LEFT - 8}" y="${Number(y(value * 1e6)) + 4}" text-anchor="end">${value}</text>`,
  );
  const curves = lines.map(
    ({ colour, points }) =>
      `<polyline fill="none" stroke="${colour}" stroke-width="1.5" points="${points
        .map(([at, bytes]) => `${x(at)},${y(bytes)}`)
        .join(" ")}"/>`,
  );
  const labels = lines.map(({ colour, label }, i) => {
    const place = TOP + PLOT_HEIGHT - 10 - 16 * (lines.length - 1 - i);
    return `<text x="${LEFT + PLOT_WIDTH - 6}" y="${place}" text-anchor="end" fill="${colour}">${label}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">
<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>
<text x="${LEFT}" y="20" font-size="14">${title}</text>
${ticksY.join("\n")}
${ticksX.join("\n")}
<text x="${LEFT + PLOT_WIDTH / 2}" y="${HEIGHT - 10}" text-anchor="middle">${unit}</text>
<text x="16" y="${TOP + PLOT_HEIGHT / 2}" text-anchor="middle" transform="rotate(-90 16 ${TOP + PLOT_HEIGHT / 2})">MB</text>
${mark(bound, `availableMemory, ${bound / 1e6} MB`)}
${mark(allowed, `1.25 × availableMemory + 64 MiB, ${Math.round(allowed / 1e6)} MB`)}
${curves.join("\n")}
${labels.join("\n")}
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
