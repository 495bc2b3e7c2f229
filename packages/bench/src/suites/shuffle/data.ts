import { existsSync, readFileSync, renameSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { IS_QUICK, sized } from "../quick.js";
import { randomOf } from "../random.js";

/** Lines of about 120 bytes, of users a few of whom are busy: 98,603 of them in 240 MB. */
export const EVENTS = IS_QUICK
  ? { bytes: 24e6, lines: 199_598, users: 49_409, totalMs: 499_432_626 }
  : { bytes: 240e6, lines: 1_996_008, users: 98_603, totalMs: 4_987_278_834 };
/** Of the lines that are joined with the events. */
export const USERS_BYTES = sized(24e6, 2.4e6);
const USERS = 100_000;

/** The path of the events, which are made once on a machine. */
export async function eventsFile(): Promise<string> {
  return made(`partd-bench-events-${EVENTS.bytes / 1e6}.ndjson`, eventLines);
}

/** The events ten times over, 2.4 GB. */
export async function tenfoldFile(): Promise<string> {
  const path = await eventsFile();
  return made("partd-bench-events-2400.ndjson", function* () {
    for (let i = 0; i < 10; i++) yield readFileSync(path, "latin1");
  });
}

/** The same events as a CSV with a header; no field needs quotes. */
export async function csvFile(): Promise<string> {
  return made(`partd-bench-events-${EVENTS.bytes / 1e6}.csv`, function* () {
    yield "ts,user,event,path,ms,country\n";
    for (const line of eventLines()) yield `${Object.values(JSON.parse(line)).join(",")}\n`;
  });
}

/** A line for each user and some others; in a quick run for a tenth of them. */
export async function usersFile(): Promise<string> {
  return made(`partd-bench-users-${USERS_BYTES / 1e6}.ndjson`, () => userLines(USERS_BYTES));
}

/** The same, 2.4 GB: most of these users have no events. */
export async function manyUsersFile(): Promise<string> {
  return made("partd-bench-users-2400.ndjson", () => userLines(2.4e9));
}

async function made(name: string, lines: () => Iterable<string>): Promise<string> {
  const path = join(tmpdir(), name);
  if (existsSync(path)) return path;
  const draft = `${path}.${process.pid}`;
  const file = await open(draft, "w");
  let waiting: string[] = [];
  for (const line of lines()) {
    if (waiting.push(line) < 50_000) continue;
    await file.write(waiting.join(""));
    waiting = [];
  }
  await file.write(waiting.join(""));
  await file.close();
  renameSync(draft, path);
  return path;
}

function* eventLines(): Iterable<string> {
  const random = randomOf(0x9e3779b9);
  const cumulated = new Float64Array(USERS);
  let total = 0;
  for (let i = 0; i < USERS; i++) {
    total += 1 / (i + 1) ** 0.9;
    cumulated[i] = total;
  }
  const names = userNames(random);
  const user = () => {
    const drawn = random() * total;
    let low = 0;
    let high = USERS - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (cumulated[middle]! < drawn) low = middle + 1;
      else high = middle;
    }
    return names[low];
  };
  const pick = (list: readonly string[]) => list[Math.floor(random() * list.length)];
  let time = Date.UTC(2026, 0, 1);
  for (let bytes = 0; bytes < EVENTS.bytes; ) {
    time += Math.floor(random() * 40);
    const ts = new Date(time).toISOString();
    const name = user();
    const event = pick(KINDS);
    const path = `${pick(PATHS)}${Math.floor(random() * 100_000)}`;
    const ms = Math.floor(random() * 5000);
    const line = `{"ts":"${ts}","user":"${name}","event":"${event}","path":"${path}","ms":${ms},"country":"${pick(COUNTRIES)}"}\n`;
    bytes += line.length;
    yield line;
  }
}

function* userLines(most: number): Iterable<string> {
  const names = userNames(randomOf(0x9e3779b9));
  for (let i = 0, bytes = 0; bytes < most; i++) {
    const name = names[i] ?? `x${i}`;
    const line = `{"user":"${name}","name":"Person Number ${i}","plan":"${i % 3 ? "free" : "pro"}","city":"City of ${i % 977}","joined":"2025-0${1 + (i % 9)}-15","score":${(i * 37) % 1000}}\n`;
    bytes += line.length;
    yield line;
  }
}

/** In random order, so that the busy ones lie anywhere. */
function userNames(random: () => number): string[] {
  const order = Uint32Array.from({ length: USERS }, (_, i) => i);
  for (let i = USERS - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return Array.from(order, (n) => {
    return `u${(((n * 7919) % 9_000_000) + 1_000_000).toString(36)}${String(n).padStart(5, "0")}`;
  });
}

const KINDS = ["page_view", "click", "purchase", "login", "logout", "search", "add_to_cart"];
const COUNTRIES = ["DE", "US", "FR", "GB", "BR", "IN", "JP", "SE"];
const PATHS = ["/", "/products/", "/cart", "/search?q=", "/account", "/blog/post-"];
