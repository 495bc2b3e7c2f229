// Loaded before a command: kills the process just before its n-th change of a file (PARTD_DIE_AT), or copies
// a folder (PARTD_COPY_OF) before each of them, as a kill there would leave it, into PARTD_COPY_TO/n.
// The changes are counted where the command's own files are made, so that each is tried.
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const { PARTD_DIE_AT, PARTD_COPY_OF, PARTD_COPY_TO } = process.env;
let changes = 0;
let isCopying = false;

const watched = (path) => String(path).includes(process.env.PARTD_DIE_OVER);

function count(path) {
  if (isCopying || !watched(path)) return;
  changes++;
  if (changes === Number(PARTD_DIE_AT)) process.kill(process.pid, "SIGKILL");
  if (PARTD_COPY_OF === undefined) return;
  isCopying = true;
  fs.cpSync(PARTD_COPY_OF, `${PARTD_COPY_TO}/${changes}`, { recursive: true });
  isCopying = false;
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
