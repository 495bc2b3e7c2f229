import type { Store } from "@partd/core";

/** One promise of a contract, as a test that any runner can execute. */
export interface ContractCase {
  /** The promise, unique within its contract. */
  readonly name: string;
  /**
   * Resolves if the promise is kept; rejects with a {@link ContractError} that says how it is
   * broken.
   */
  readonly run: () => Promise<void>;
}

/** The data that one case works on, separate from all others. */
export interface DataSet {
  /** A unique name of letters, digits and `-`: for a directory, a prefix, a table. */
  readonly name: string;
  /**
   * Registers `cleanUp` to run at the end of the case, when all stores of the data set are closed.
   */
  onEnd(cleanUp: () => unknown): void;
}

/**
 * Makes a store over `dataSet`. Called several times for one data set if a case reopens it or, for
 * shared stores, opens two at once.
 */
export type OpenStore = (dataSet: DataSet) => Store | Promise<Store>;

/** Runs `body` on a new data set, then closes the stores it opened and cleans up. */
export async function withDataSet(
  body: (dataSet: DataSet, opened: (store: Closable) => void) => Promise<void>,
): Promise<void> {
  const stores: Closable[] = [];
  const cleanUps: (() => unknown)[] = [];
  const dataSet: DataSet = {
    name: `contract-${crypto.randomUUID()}`,
    onEnd: (cleanUp) => cleanUps.unshift(cleanUp),
  };
  const errors: unknown[] = [];
  const attempt = async (work: () => unknown) => {
    try {
      await work();
    } catch (error) {
      errors.push(error);
    }
  };
  await attempt(() => body(dataSet, (store) => stores.push(store)));
  for (const store of stores) await attempt(() => store.close());
  for (const cleanUp of cleanUps) await attempt(cleanUp);
  if (errors.length > 0) throw errors[0]; // The later errors mostly follow from the first.
}

interface Closable {
  close(): Promise<void>;
}
