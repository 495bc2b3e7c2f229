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

/** What every request says. */
interface Request {
  readonly bucket: string;
  /** Aborts the request. */
  readonly signal: AbortSignal;
}

/** Writes an object. */
export interface PutRequest extends Request {
  /** The name of the object. */
  readonly key: string;
  /** All of its bytes. */
  readonly body: Uint8Array;
  /** `"*"`: only if there is no object of this name; otherwise it is status 412. */
  readonly ifNoneMatch?: "*" | undefined;
}

/** Reads a range of an object. */
export interface GetRequest extends Request {
  /** The name of the object. */
  readonly key: string;
  /** The first byte. */
  readonly start: number;
  /** The byte behind the last one. */
  readonly end: number;
}

/** Lists objects. */
export interface ListRequest extends Request {
  /** What their names begin with. */
  readonly prefix: string;
  /** Return only names after this one. */
  readonly startAfter?: string | undefined;
}

/** Removes objects. */
export interface DeleteRequest extends Request {
  /** At most 1,000 names. */
  readonly keys: readonly string[];
}

/** The next objects of a listing. */
export interface ListPage {
  /** In the order of their names. */
  readonly objects: readonly ListedObject[];
  /** Whether more objects follow the last one. */
  readonly more: boolean;
}

/** An object as a listing gives it. */
export interface ListedObject {
  /** Its name. */
  readonly key: string;
  /** In bytes. */
  readonly size: number;
  /** A value that changes whenever the object is written. */
  readonly etag: string;
  /** When it was written, by the server's clock, in milliseconds since 1970. */
  readonly modified: number;
}
