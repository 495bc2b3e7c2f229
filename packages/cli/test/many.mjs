// Runs the command many times in one process: a message of words is answered by what came of them.
import { run } from "../dist/index.js";

let err = "";
process.stderr.write = (text) => {
  err += text;
  return true;
};
process.on("message", async (words) => {
  err = "";
  process.exitCode = 0;
  await run(words);
  process.removeAllListeners("uncaughtException");
  for (const stream of [process.stdout, process.stderr]) stream.removeAllListeners("error");
  const code = process.exitCode;
  process.exitCode = 0;
  process.send({ code, err });
});
