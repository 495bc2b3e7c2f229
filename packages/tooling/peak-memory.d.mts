/** The most resident memory that this process has had so far, in bytes. */
export declare function peakMemory(): number;
