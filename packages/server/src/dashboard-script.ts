/** Runs in the page: asks for the numbers every second, and shows them. */
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
    const answer = await fetch("/stats");
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
