/** Benchmarks of one subject: `npm run bench -- NAME`. */
export interface Suite {
  readonly name: string;
  readonly works: readonly Work[];
  /** The targets are about works of full size: a quick run, in which processes mostly start, judges none. */
  readonly judgesFullSizeAlone?: true;
  /** Starts what all works need, before the first of them; it is stopped after the last. */
  start?(): Promise<{ stop(): void }>;
}

/** One piece of work, done by several sides in turn. */
export interface Work {
  readonly title: string;
  /** What is counted, in the plural: "key-writes", "MB". */
  readonly unit: string;
  /** How many of them one run does. */
  readonly count: number;
  /** The first is ours, which the targets are about. */
  readonly sides: Readonly<Record<string, Side>>;
  readonly targets?: readonly Target[];
  /** Whether `--quick` leaves the work out: it is slow, says nothing when small, or is like another. */
  readonly isLong?: boolean;
  /** Timed rounds. Default 5. */
  readonly rounds?: number;
  /** Rounds before them that are not counted. Default 1; what is short takes more to be compiled. */
  readonly warmups?: number;
}

/** The first side's rate is to be at least `ratio` times that of side `against`. */
export interface Target {
  readonly against: string;
  readonly ratio: number;
  /** Or what part of all cores' time is to be used: what cannot be faster is fast enough. */
  readonly orBusy?: number;
}

/** Work done here in Node, or by a function of a Python file. */
export type Side = NodeSide | PythonSide;

/**
 * Called before each round with an empty directory of its own: what it does itself is not timed,
 * what the returned `run` does is.
 */
export type NodeSide = (directory: string) => Promise<Round>;

export interface Round {
  run(): Promise<unknown>;
  /** Seconds of CPU of the programs that `run` started, where those do the work. */
  cpuSeconds?(): number;
  /** What else is to be said of it, a column of the table each. */
  figures?(): Readonly<Record<string, string>>;
  /** Tidies up, or checks what `run` did. Not timed. */
  done?(): Promise<unknown>;
}

export interface PythonSide {
  /** A file in `python/`, without its ending. */
  readonly script: string;
  /** A function in it that takes a directory and the arguments and yields around the timed part. */
  readonly work: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

export function python(
  script: string,
  work: string,
  args: Readonly<Record<string, unknown>> = {},
): PythonSide {
  return { script, work, arguments: args };
}
