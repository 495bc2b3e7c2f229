export interface CuttingProxyOptions {
  /** Each connection is cut after at most so many bytes, both ways together. Default 0. */
  readonly mostBytes?: number;
  /** How many connections are cut; later ones live. Default 0. */
  readonly cuts?: number;
  /** Draws numbers from 0 to 1. Default `Math.random`. */
  readonly random?: () => number;
  /** Whether bytes come late, and in other pieces than they were sent. Default false. */
  readonly dribbles?: boolean;
}

/** Passes bytes between clients and a server on socket files, and cuts connections. */
export declare class CuttingProxy {
  /** Where it listens. */
  readonly path: string;
  /** Connections that were cut by chance so far. */
  readonly cuts: number;
  /** Listens at `path`, and passes each connection on to `target`. */
  static listen(path: string, target: string, options?: CuttingProxyOptions): Promise<CuttingProxy>;
  private constructor();
  /** Cuts all present connections. */
  cutAll(): void;
  /** Cuts all connections, and takes none until {@link up}. */
  down(): void;
  up(): void;
  close(): Promise<void>;
}
