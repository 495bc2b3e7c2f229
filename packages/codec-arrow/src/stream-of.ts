import { allocateEncoded, concatBytes } from "@partd/core/author";
import { AsyncByteQueue, RecordBatchStreamWriter, type Table } from "apache-arrow";

/** The table as one stream of the Arrow IPC format: what `tableToIPC` gives, with headroom. */
export function streamOf(table: Table): Uint8Array {
  const sink = new Pieces();
  new RecordBatchStreamWriter().reset(sink).writeAll(table);
  return concatBytes(sink.pieces, allocateEncoded);
}

/** Where the writer writes to. The pieces may be views of the table. */
class Pieces extends AsyncByteQueue {
  readonly pieces: Uint8Array[] = [];

  override write(piece: Uint8Array): void {
    this.pieces.push(piece);
  }
}
