import {
  DeleteObjectsCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from "@aws-sdk/client-s3";
import type {
  DeleteRequest,
  GetRequest,
  ListPage,
  ListRequest,
  ObjectClient,
  PutRequest,
} from "./client.js";

/**
 * Makes a store's requests with the official SDK. Region, endpoint, credentials, encryption and
 * time limits are those of `client`, which the caller owns: closing a store does not destroy it.
 */
export function awsClient(client: S3Client): ObjectClient {
  return {
    put: ({ bucket, key, body, ifNoneMatch, signal }: PutRequest) =>
      client.send(
        new PutObjectCommand({ Bucket: bucket, Key: key, Body: body, IfNoneMatch: ifNoneMatch }),
        { abortSignal: signal },
      ),

    get: async ({ bucket, key, start, end, signal }: GetRequest) => {
      const range = `bytes=${start}-${end - 1}`;
      const { Body } = await client.send(
        new GetObjectCommand({ Bucket: bucket, Key: key, Range: range }),
        { abortSignal: signal },
      );
      if (Body && Symbol.asyncIterator in Body) return Body as AsyncIterable<Uint8Array>;
      return (await Body?.transformToByteArray()) ?? new Uint8Array(0);
    },

    list: async ({ bucket, prefix, startAfter, signal }: ListRequest): Promise<ListPage> => {
      const { Contents = [], IsTruncated = false } = await client.send(
        new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, StartAfter: startAfter }),
        { abortSignal: signal },
      );
      const objects = Contents.map(({ Key = "", Size = -1, ETag = "", LastModified }) => ({
        key: Key,
        size: Size,
        etag: ETag,
        modified: LastModified?.getTime() ?? 0,
      }));
      return { objects, more: IsTruncated };
    },

    delete: async ({ bucket, keys, signal }: DeleteRequest): Promise<void> => {
      const Objects = keys.map((Key) => ({ Key }));
      const { Errors = [] } = await client.send(
        new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects, Quiet: true } }),
        { abortSignal: signal },
      );
      const [first] = Errors.filter(({ Code }) => Code !== "NoSuchKey");
      if (!first) return;
      const error = new Error(first.Message ?? `${first.Key} was not removed`);
      // DeleteObjects returns 200 even so: the code says how it failed.
      throw Object.assign(error, { name: first.Code ?? "InternalError", status: statusOf(first) });
    },
  };
}

function statusOf({ Code }: { readonly Code?: string | undefined }): number {
  if (Code === "AccessDenied") return 403;
  return Code === "SlowDown" ? 503 : 500;
}
