import { PartdError, type PartdErrorCode } from "@partd/core";

/**
 * The outcome of a failed request:
 * - `missing`: the object does not exist;
 * - `exists`: the condition of a PUT failed, because the object exists;
 * - `busy`: the server wants fewer requests;
 * - `again`: a repetition may succeed, and this attempt may have succeeded;
 * - `refused`: it will not succeed.
 */
type Outcome = "missing" | "exists" | "busy" | "again" | "refused";

interface Failure {
  readonly outcome: Outcome;
  readonly code: PartdErrorCode;
  /** What the failure means, and what to do. */
  readonly advice: string;
}

/** Classifies a client's error by its HTTP status and its S3 code. */
export function failureOf(error: unknown): Failure {
  const { status, name } = describe(error);
  const known = BY_NAME.get(name);
  if (known) return known;
  if (status === undefined) return /Credentials|TokenProvider/.test(name) ? NO_CREDENTIALS : CUT;
  if (status >= 300 && status < 400 && status !== 304) return OTHER_PLACE;
  if (status === 404) return MISSING;
  if (status === 412) return EXISTS;
  if (status === 409) return CONFLICT;
  if (status === 429 || status === 503) return BUSY;
  if (status === 408 || (status >= 500 && status !== 501)) return FAULT;
  if (status === 401 || status === 403) return DENIED;
  if (status === 501) return NO_CONDITIONS;
  if (status >= 200 && status < 300) return CUT; // The reply broke off.
  return { outcome: "refused", code: "ERR_PARTD_IO", advice: "the server refused it" };
}

/** The error that a caller sees. */
export function requestError(
  action: string,
  address: string,
  { code, advice, outcome }: Failure,
  cause: unknown,
): PartdError {
  const { message } = describe(cause);
  const unknown = outcome === "again" ? " It is not known whether it was carried out." : "";
  return new PartdError(code, `Could not ${action} ${address}: ${advice} (${message}).${unknown}`, {
    address,
    cause,
  });
}

function describe(error: unknown): { status: number | undefined; name: string; message: string } {
  const { status, statusCode, $metadata, name, code, message } = (error ?? {}) as {
    readonly [field: string]: unknown;
  };
  const found = ($metadata as { httpStatusCode?: unknown })?.httpStatusCode ?? status ?? statusCode;
  const names = [name, code].filter((one) => typeof one === "string" && one !== "Error");
  return {
    status: typeof found === "number" ? found : undefined,
    name: String(names[0] ?? ""),
    message: `${names[0] ?? "Error"}: ${String(message ?? error)}`.slice(0, 300),
  };
}

const MISSING: Failure = {
  outcome: "missing",
  code: "ERR_PARTD_IO",
  advice: "the object is not there",
};
const EXISTS: Failure = { outcome: "exists", code: "ERR_PARTD_IO", advice: "it is there already" };
const CUT: Failure = {
  outcome: "again",
  code: "ERR_PARTD_CONNECTION",
  advice:
    "the server cannot be reached, or the connection broke; check the endpoint and the network",
};
const FAULT: Failure = {
  outcome: "again",
  code: "ERR_PARTD_CONNECTION",
  advice: "the server failed each time; try again later",
};
const CONFLICT: Failure = { ...FAULT, advice: "other requests were in its way each time" };
const BUSY: Failure = {
  outcome: "busy",
  code: "ERR_PARTD_CONNECTION",
  advice: "the server is overloaded; use fewer workers, a lower concurrency, or try again later",
};
const DENIED: Failure = {
  outcome: "refused",
  code: "ERR_PARTD_AUTH",
  advice:
    "access was denied; the credentials need s3:GetObject, PutObject, DeleteObject and ListBucket",
};
const NO_CREDENTIALS: Failure = {
  outcome: "refused",
  code: "ERR_PARTD_AUTH",
  advice: "there are no usable credentials; pass some to the client, or renew them",
};
const NO_BUCKET: Failure = {
  outcome: "refused",
  code: "ERR_PARTD_IO",
  advice: "there is no such bucket; make it, or correct its name or the endpoint",
};
const OTHER_PLACE: Failure = {
  outcome: "refused",
  code: "ERR_PARTD_IO",
  advice: "the bucket is elsewhere; correct the region or the endpoint of the client",
};
const SKEWED: Failure = {
  outcome: "refused",
  code: "ERR_PARTD_AUTH",
  advice: "this machine's clock differs from the server's; set the clock",
};
const NO_CONDITIONS: Failure = {
  outcome: "refused",
  code: "ERR_PARTD_IO",
  advice:
    "the server does not know If-None-Match on PUT, which the store needs; use another server",
};
const DAMAGED: Failure = {
  outcome: "refused",
  code: "ERR_PARTD_CORRUPT",
  advice: "the object is shorter than it was listed; it was changed by other software",
};

const BY_NAME = new Map<string, Failure>([
  ["NoSuchBucket", NO_BUCKET],
  ["InvalidBucketName", NO_BUCKET],
  ["PermanentRedirect", OTHER_PLACE],
  ["AuthorizationHeaderMalformed", OTHER_PLACE],
  ["IllegalLocationConstraintException", OTHER_PLACE],
  ["ExpiredToken", NO_CREDENTIALS],
  ["ExpiredTokenException", NO_CREDENTIALS],
  ["TokenRefreshRequired", NO_CREDENTIALS],
  ["CredentialsProviderError", NO_CREDENTIALS],
  ["RequestTimeTooSkewed", SKEWED],
  ["RequestExpired", SKEWED],
  ["NotImplemented", NO_CONDITIONS],
  ["InvalidRange", DAMAGED],
  ["SlowDown", BUSY],
  ["RequestTimeout", CUT],
  ["IncompleteBody", CUT],
  ["BadDigest", CUT],
  ["ConditionalRequestConflict", CONFLICT],
  ["OperationAborted", CONFLICT],
]);

/** The error for a listed object that is gone: the data set may have been dropped since. */
export function missing(key: string): PartdError {
  const error = new PartdError(
    "ERR_PARTD_IO",
    `${key} is gone, though it was listed: the data set was dropped meanwhile, or other software removes its objects.`,
    { address: key },
  );
  gone.add(error);
  return error;
}

/** Whether the error is one of {@link missing}. */
export function isMissing(error: unknown): boolean {
  return gone.has(error as PartdError);
}

const gone = new WeakSet<PartdError>();

/** The error for an object that contradicts its name or length. */
export function contradiction(key: string): PartdError {
  return new PartdError(
    "ERR_PARTD_CORRUPT",
    `${key} has another length than its values; it was written by faulty software, or changed.`,
    { address: key },
  );
}
