/** Whether its programs are installed (Debian: radosgw, ceph-mon, ceph-osd, ceph-common). */
export declare function hasRadosgw(): boolean;

export interface Radosgw {
  /** `http://127.0.0.1:<port>`. */
  readonly endpoint: string;
  /** For `credentials` of a client. */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** Ends it, and removes all it has stored. */
  stop(): void;
}

/**
 * Starts Ceph's S3 server on free ports of loopback, with storage in memory, without systemd. Takes
 * 15 s; fails after 180 s with the last lines of the logs.
 */
export declare function startRadosgw(): Promise<Radosgw>;
