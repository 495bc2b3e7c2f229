// Runs the command many times in one process: a message of words and what standard input holds is
// answered by what came of them.
import { PassThrough, Readable } from "node:stream";
import { run } from "../dist/index.js";

const written = { stdout: [], stderr: [] };
for (const name of ["stdout", "stderr"]) {
  process[name].write = (data) => {
    written[name].push(Buffer.from(data));
    return true;
  };
}
process.on("message", async ({ words, input, typed }) => {
  for (const pieces of Object.values(written)) pieces.length = 0;
  process.exitCode = 0;
  Object.defineProperty(process, "stdin", {
    value: typed ? keyboard(typed) : Readable.from(input.length > 0 ? [input] : []),
    configurable: true,
  });
  process.stderr.isTTY = typed !== undefined;
  await run(words);
  process.removeAllListeners("uncaughtException");
  for (const stream of [process.stdout, process.stderr]) stream.removeAllListeners("error");
  const code = process.exitCode;
  process.exitCode = 0;
  process.send({ code, out: Buffer.concat(written.stdout), err: Buffer.concat(written.stderr) });
});

/** A terminal on which this is typed. */
function keyboard(typed) {
  const stream = Object.assign(new PassThrough(), { isTTY: true });
  stream.write(typed);
  return stream;
}
