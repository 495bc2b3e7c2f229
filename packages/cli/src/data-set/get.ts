import type { Action } from "../command/command.js";
import { UsageError } from "../command/failure.js";
import { OutputFile } from "../output/output-file.js";
import { openDataSet } from "./data-set.js";
import { keysOf, requireKeys } from "./key-text.js";
import { buildTower } from "./tower.js";
import { textOf } from "./value-text.js";

/** `partd get`. */
export const get: Action = async (call) => {
  const { options, terminal, signal } = call;
  const keys = keysOf(call, call.arguments.slice(1));
  await using dataSet = await openDataSet(call);
  const { store, codec } = await buildTower(dataSet.store, options);
  await requireKeys(dataSet, codec === "ndarray" ? [] : keys, signal);
  const out = options.text("out");
  await using file =
    out === undefined ? undefined : await OutputFile.create(out, { force: options.has("force") });
  using progress = terminal.progress("reading");
  let bytesDone = 0;
  for (const key of keys) {
    for await (const value of store.stream(key, { signal })) {
      for (const text of textOf(value, codec)) {
        if (file === undefined && terminal.isScreen) refuseBinary(text);
        await (file ? file.write(text) : terminal.write(text));
        bytesDone += text.length;
        if (file) progress.show({ bytesDone });
      }
    }
  }
  await file?.complete();
  return undefined;
};

/** What is no text could move the cursor, change colours, or answer for the user. */
function refuseBinary(value: string | Uint8Array): void {
  if (!/(?![\t\n\r])\p{Cc}/u.test(String(Buffer.from(value)))) return;
  throw new UsageError(
    "the value is no text to look at: --codec says what it is, --out FILE or a pipe takes it as it is",
  );
}
