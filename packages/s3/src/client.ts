/**
 * The four requests that a store makes of S3, or of a server with its protocol. Each rejects if the
 * server refuses or cannot be reached. The error's `status` (or `statusCode`, or
 * `$metadata.httpStatusCode`) is the HTTP status, and its `name` (or `code`) is the code of S3. The
 * client need not repeat requests: the store does.
 */
export interface ObjectClient {
  /** Creates the object from `body`. Must send `If-None-Match: *` if `ifNoneMatch` is given. */
  put(request: PutRequest): Promise<unknown>;
  /**
   * Returns the object's bytes from `start` up to, not including, `end`: whole, or, which takes less
   * memory and time, in pieces as they arrive. The pieces, too, end with an error when the signal
   * aborts.
   */
  get(request: GetRequest): Promise<Uint8Array | AsyncIterable<Uint8Array>>;
  /** Returns the next objects in the order of their names, as ListObjectsV2 does. */
  list(request: ListRequest): Promise<ListPage>;
  /** Removes objects. A missing object is not an error. */
  delete(request: DeleteRequest): Promise<unknown>;
}

interface Request {
  readonly bucket: string;
  /** Aborts the request. */
  readonly signal: AbortSignal;
}

export interface PutRequest extends Request {
  readonly key: string;
  readonly body: Uint8Array;
  readonly ifNoneMatch?: "*" | undefined;
}

export interface GetRequest extends Request {
  readonly key: string;
  readonly start: number;
  readonly end: number;
}

export interface ListRequest extends Request {
  readonly prefix: string;
  /** Return only names after this one. */
  readonly startAfter?: string | undefined;
}

export interface DeleteRequest extends Request {
  /** At most 1,000 names. */
  readonly keys: readonly string[];
}

export interface ListPage {
  readonly objects: readonly ListedObject[];
  /** Whether more objects follow the last one. */
  readonly more: boolean;
}

export interface ListedObject {
  readonly key: string;
  /** In bytes. */
  readonly size: number;
  /** A value that changes whenever the object is written. */
  readonly etag: string;
  /** When it was written, by the server's clock, in milliseconds since 1970. */
  readonly modified: number;
}
