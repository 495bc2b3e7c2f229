/**
 * The four requests that a store makes of S3, or of what speaks its protocol. Each rejects where the
 * server refuses or cannot be reached; of the error, `status` (or `statusCode`, or
 * `$metadata.httpStatusCode`) is the HTTP status and `name` (or `code`) the code of S3. No request has
 * to be repeated by the client: the store does that.
 */
export interface ObjectClient {
  /** Makes the object of `body`. Has to send `If-None-Match: *` where `ifNoneMatch` is given. */
  put(request: PutRequest): Promise<unknown>;
  /** The bytes of the object from `start` up to and without `end`. */
  get(request: GetRequest): Promise<Uint8Array>;
  /** The next objects, in the order of their names, as ListObjectsV2 gives them. */
  list(request: ListRequest): Promise<ListPage>;
  /** Removes objects. One that is not there is no error. */
  delete(request: DeleteRequest): Promise<unknown>;
}

interface Request {
  readonly bucket: string;
  /** Gives the request up. */
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
  /** Only names behind this one. */
  readonly startAfter?: string | undefined;
}

export interface DeleteRequest extends Request {
  /** 1,000 names at most. */
  readonly keys: readonly string[];
}

export interface ListPage {
  readonly objects: readonly ListedObject[];
  /** Whether there are more behind the last of them. */
  readonly more: boolean;
}

export interface ListedObject {
  readonly key: string;
  /** In bytes. */
  readonly size: number;
  /** What changes whenever the object is written. */
  readonly etag: string;
  /** When it was written, by the server's clock, in milliseconds since 1970. */
  readonly modified: number;
}
