/**
 * The same pieces, each made while the reader is busy with the one before: while a file takes it, in most cases.
 * So a write and what comes next take two cores in place of one. Behind a piece of {@link LARGE} bytes the next one
 * is made when it is asked for: two of them may be more than memory has room for.
 */
export async function* oneAhead<T extends { readonly length: number }>(
  pieces: AsyncGenerator<T>,
): AsyncGenerator<T> {
  try {
    let next: Promise<IteratorResult<T>> | undefined;
    for (;;) {
      const { value, done } = await (next ?? pieces.next());
      if (done) return;
      next = value.length < LARGE ? afterReader(() => pieces.next()) : undefined;
      next?.catch(() => {}); // Who asks for the piece gets the error.
      yield value;
    }
  } finally {
    await pieces.return(undefined);
  }
}

const LARGE = 4 << 20;

/** Once the reader has begun what it does with a piece: making the next one holds this thread. */
function afterReader<T>(make: () => Promise<T>): Promise<T> {
  return new Promise((resolve) => setImmediate(() => resolve(make())));
}
