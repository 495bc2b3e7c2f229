// Loaded before a command: kills the process just before its n-th change of a file (PARTD_DIE_AT).
// The changes are counted where the command's own files are made, so that each is tried.
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

let left = Number(process.env.PARTD_DIE_AT);

const watched = (path) => String(path).includes(process.env.PARTD_DIE_OVER);

function count(path) {
  if (watched(path) && --left === 0) process.kill(process.pid, "SIGKILL");
}

for (const [from, names] of [
  [fs, ["mkdirSync", "writeFileSync", "appendFileSync", "renameSync", "rmdirSync", "truncateSync"]],
  [fs, ["openSync", "createWriteStream"]],
  [fs.promises, ["rename", "rm"]],
]) {
  for (const name of names) {
    const plain = from[name];
    from[name] = (...given) => {
      count(given[0]);
      return plain(...given);
    };
  }
}

// Removes one entry at a time, as a kill may leave it.
const { rmSync } = fs;
fs.rmSync = (path, options) => {
  if (watched(path) && options?.recursive && fs.existsSync(path)) {
    for (const name of fs.readdirSync(path, { recursive: true }).sort().reverse()) {
      count(path);
      rmSync(`${path}/${name}`, { recursive: true });
    }
  }
  count(path);
  rmSync(path, options);
};
syncBuiltinESMExports();
