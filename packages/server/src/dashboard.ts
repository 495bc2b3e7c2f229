import { createHash } from "node:crypto";
import { dashboardScript } from "./dashboard-script.js";

const style = `
:root { color-scheme: light dark; --ink: #1d2330; --soft: #5b6472; --line: #d9dee6; --card: #fff;
  --page: #f4f6f9; --append: #2563eb; --read: #0d9467; --bar: #7c9cf0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7eaf0; --soft: #9aa4b5; --line: #2d3442;
  --card: #1a1f2a; --page: #11151d; --append: #6ea2ff; --read: #3fce9d; --bar: #4a6fd0; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 1.5rem; background: var(--page); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif; }
main { max-width: 68rem; margin: auto; display: grid; gap: 1rem; }
header { display: flex; justify-content: space-between; align-items: baseline; gap: 1rem; }
h1 { font-size: 1.25rem; margin: 0; } h2 { font-size: .95rem; margin: 0 0 .6rem; }
.soft { color: var(--soft); } .lost { color: #d33; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: 1rem; }
.halves { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  padding: .9rem 1rem; min-width: 0; }
dl { margin: 0; } dt { color: var(--soft); font-size: .8rem; }
dd { margin: 0; font-size: 1.3rem; font-variant-numeric: tabular-nums; }
svg { width: 100%; height: 9rem; display: block; }
path { fill: none; stroke-width: 2; vector-effect: non-scaling-stroke; }
.append { stroke: var(--append); color: var(--append); } .read { stroke: var(--read); color: var(--read); }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
td { padding: .12rem .4rem .12rem 0; white-space: nowrap; }
td:first-child { max-width: 12rem; overflow: hidden; text-overflow: ellipsis; }
td.wide { width: 60%; } td.number { text-align: right; }
.bar { background: var(--bar); height: .8rem; border-radius: .2rem; min-width: 1px; }
`;

/** Only what stands in the page itself runs, and it talks to its own server alone. */
export const dashboardPolicy = [
  "default-src 'none'",
  "connect-src 'self'",
  "img-src data:",
  `style-src '${hashOf(style)}'`,
  `script-src '${hashOf(dashboardScript)}'`,
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** The page at `/`: what goes on in the server, second by second. */
export const dashboardPage = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,">
<title>partd</title>
<style>${style}</style>
<main>
<header><h1>partd server</h1><span class="soft" id="state" role="status">connecting …</span></header>
<div class="tiles" id="tiles"></div>
<section>
<h2><span class="append">Appended</span> and <span class="read">read</span>, per second</h2>
<svg id="rates" viewBox="0 0 120 100" preserveAspectRatio="none" role="img"
 aria-label="Bytes appended and read per second, of the last two minutes">
<path class="append" d=""/><path class="read" d=""/></svg>
<div class="soft" id="peak"></div>
</section>
<div class="halves">
<section><h2>Largest keys</h2><table id="largest"></table><div class="soft" id="skew"></div></section>
<section><h2>Keys by size</h2><table id="sizes"></table></section>
</div>
</main>
<script>${dashboardScript}</script>
</html>
`;

function hashOf(text: string): string {
  return `sha256-${createHash("sha256").update(text).digest("base64")}`;
}
