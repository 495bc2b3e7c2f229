/**
 * The same pieces, each made while the reader is busy with the one before: while a file takes it, in most cases.
 * So a write and what comes next take two cores in place of one.
 */
export async function* oneAhead<T>(pieces: AsyncGenerator<T>): AsyncGenerator<T> {
  try {
    let next = pieces.next();
    for (;;) {
      const { value, done } = await next;
      if (done) return;
      next = afterReader(() => pieces.next());
      next.catch(() => {}); // Who asks for the piece gets the error.
      yield value;
    }
  } finally {
    await pieces.return(undefined);
  }
}

/** Once the reader has begun what it does with a piece: making the next one holds this thread. */
function afterReader<T>(make: () => Promise<T>): Promise<T> {
  return new Promise((resolve) => setImmediate(() => resolve(make())));
}
