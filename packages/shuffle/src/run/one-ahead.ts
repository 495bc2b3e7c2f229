/**
 * Yields the same pieces, each made while the consumer handles the one before, for example writes it to
 * a file. So a write and the making of the next piece use two cores. After a piece of {@link LARGE}
 * bytes, the next one is made only on request: memory may not have room for two.
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
      next?.catch(() => {}); // The consumer gets the error when it asks for the piece.
      yield value;
    }
  } finally {
    await pieces.return(undefined);
  }
}

/** Bytes of a piece beside which memory may have no room for another. */
const LARGE = 4 << 20;

/**
 * Waits until the consumer has begun to handle its piece, because making the next one blocks this
 * thread.
 */
function afterReader<T>(make: () => Promise<T>): Promise<T> {
  return new Promise((resolve) => setImmediate(() => resolve(make())));
}
