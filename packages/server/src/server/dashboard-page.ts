import { createHash } from "node:crypto";

/** The script of the page: asks for the numbers every second, and shows them. */
export const dashboardScript = `
"use strict";
const LENGTH = 120;
const history = [];
let before;

function bytes(n) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (n >= 1000 && unit < units.length - 1) { n /= 1000; unit++; }
  return (unit === 0 ? Math.round(n) : n.toPrecision(3)) + " " + units[unit];
}
const power = (i) => 2 ** (i % 10) + " " + ["B", "KiB", "MiB", "GiB", "TiB"][Math.floor(i / 10)];
const count = (n) => Math.round(n).toLocaleString("en");
const element = (id) => document.getElementById(id);

function make(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function tiles(entries) {
  element("tiles").replaceChildren(...entries.map(([name, value]) => {
    const tile = make("section");
    const list = make("dl");
    list.append(make("dt", name), make("dd", value));
    tile.append(list);
    return tile;
  }));
}

function bars(id, rows) {
  const most = Math.max(1, ...rows.map((row) => row.size));
  element(id).replaceChildren(...rows.map(({ name, size, told }) => {
    const row = make("tr");
    const wide = make("td", undefined, "wide");
    const bar = make("div", undefined, "bar");
    bar.style.width = (100 * size / most) + "%";
    wide.append(bar);
    const label = make("td", name);
    label.title = name;
    row.append(label, wide, make("td", told, "number"));
    return row;
  }));
}

function line(name, peak) {
  const shown = Math.max(30, history.length);
  const points = history.map((point, i) =>
    ((shown - history.length + i + 1) * LENGTH / shown).toFixed(2) + " " +
    (98 - 94 * point[name] / peak).toFixed(2));
  document.querySelector("path." + name).setAttribute("d", points.length ? "M" + points.join("L") : "");
}

function show(stats) {
  const now = performance.now();
  const { totals, keys, store } = stats;
  if (before && stats.uptime > before.stats.uptime) {
    const seconds = (now - before.now) / 1000;
    const rate = (name) => (totals[name] - before.stats.totals[name]) / seconds;
    history.push({ append: rate("appendedBytes"), read: rate("readBytes"), appends: rate("appends") });
    if (history.length > LENGTH) history.shift();
  }
  before = { now, stats };
  const last = history.at(-1) ?? { append: 0, read: 0, appends: 0 };
  tiles([
    ["Appended / s", bytes(last.append)],
    ["Appends / s", count(last.appends)],
    ["Read / s", bytes(last.read)],
    ["Connections", count(stats.connections)],
    ["Keys", count(keys.count)],
    ["Bytes in keys", bytes(keys.bytes)],
    ["Memory held", bytes(store.memoryHeld ?? stats.memory)],
    ...("bytesSpilled" in store ? [["Spilled", bytes(store.bytesSpilled)]] : []),
    ["In flight", bytes(stats.requestBytes + stats.answerBytes)],
    ["Sent again", count(stats.repeated)],
  ]);
  const peak = Math.max(1, ...history.map((point) => Math.max(point.append, point.read)));
  line("append", peak);
  line("read", peak);
  element("peak").textContent = "Top: " + bytes(peak) + " per second. The last " + Math.max(30, history.length) + " seconds.";
  bars("largest", keys.largest.map(({ key, bytes: size }) =>
    ({ name: key, size, told: bytes(size) })));
  const top = keys.largest[0];
  element("skew").textContent = top
    ? "The largest key holds " + (100 * top.bytes / keys.bytes).toFixed(1) + " % of all bytes, " +
      (top.bytes * keys.count / keys.bytes).toFixed(1) + " times the mean."
    : "Nothing was appended yet.";
  bars("sizes", keys.sizes.map((size, i) =>
    ({ name: power(i) + " – " + power(i + 1), size, told: count(size) }))
    .filter((row, i) => i >= keys.sizes.findIndex((n) => n > 0)));
}

async function ask() {
  try {
    // Not "/stats": if the page was opened as http://user:token@host, fetch refuses addresses relative to it.
    const answer = await fetch(location.origin + "/stats");
    if (!answer.ok) throw new Error(answer.status);
    const stats = await answer.json();
    show(stats);
    element("state").textContent = "up " + Math.floor(stats.uptime) + " s";
    element("state").className = "soft";
  } catch {
    element("state").textContent = "the server does not answer";
    element("state").className = "lost";
  }
  setTimeout(ask, 1000);
}
ask();
`;

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

/** Allows only the page's own script, and connections only to its own server. */
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
