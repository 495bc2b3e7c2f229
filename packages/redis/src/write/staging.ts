import { randomBytes } from "node:crypto";
import { type OperationOptions, PartdError } from "@partd/core";
import type { BucketNames } from "../data-set.js";
import { STAGE } from "../scripts/change-scripts.js";
import { ScriptAnswer, type Session } from "../session.js";

/**
 * Sends chunks that are too large for one call to a list of their own, from which one short call
 * moves them to their places.
 *
 * @param use makes that call. The list is removed if it fails, and expires if this process ends.
 */
export async function withStaged(
  session: Session,
  bucket: BucketNames,
  chunks: readonly Buffer[],
  options: OperationOptions,
  use: (staging: string) => Promise<void>,
): Promise<void> {
  const { connection } = session;
  const staging = bucket.staging(randomBytes(9).toString("base64url"));
  try {
    for (let from = 0; from < chunks.length; ) {
      const start = from;
      let bytes = 0;
      while (from < chunks.length && (from === start || bytes < STEP_BYTES)) {
        bytes += (chunks[from++] as Buffer).byteLength;
      }
      const args = [String(start), ...chunks.slice(start, from)];
      await session.retry(() => STAGE.run(connection, [staging], args), options);
    }
    await use(staging);
  } catch (error) {
    await connection.send(staging, ["UNLINK", staging]).catch(() => {}); // The list expires anyway.
    if (!(error instanceof ScriptAnswer && error.code === "PARTDSTAGE")) throw error;
    throw new PartdError(
      "ERR_PARTD_IO",
      "The Redis server has lost the first parts of the batch, and nothing was written: append it again.",
      { cause: error },
    );
  }
}

/** Bytes that are staged in one call. */
const STEP_BYTES = 4 << 20;
