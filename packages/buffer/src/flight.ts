import type { FlushJob } from "./flush-job.js";
import type { Load } from "./load.js";

/** A batch on its way to the slow store. */
export class Flight {
  readonly load: Load;
  /** The flush that it is part of. */
  readonly job: FlushJob | undefined;
  /** That of one caller, who is told of its failure: a big append, or what goes before an `iset`. */
  readonly isPrivate: boolean;
  readonly signal: AbortSignal | undefined;
  landed = false;
  failure: { readonly error: unknown } | undefined;
  /** Whether its caller has given up waiting, so that no one would be told. */
  abandoned = false;

  constructor(load: Load, job?: FlushJob, isPrivate = false, signal?: AbortSignal) {
    this.load = load;
    this.job = job;
    this.isPrivate = isPrivate;
    this.signal = signal;
  }
}
