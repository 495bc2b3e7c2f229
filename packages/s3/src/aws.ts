import type { Readable } from "node:stream";
import {
  DeleteObjectsCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
  PutObjectCommand,
  type S3Client,
} from "@aws-sdk/client-s3";
import { PartdError } from "@partd/core";
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
      const { Body, ContentLength, $metadata } = await client.send(
        new GetObjectCommand({ Bucket: bucket, Key: key, Range: range }),
        { abortSignal: signal },
      );
      const isWhole = ContentLength === undefined || (start === 0 && ContentLength === end);
      if ($metadata.httpStatusCode === 200 && !isWhole) {
        (Body as Partial<Readable> | undefined)?.destroy?.();
        throw new PartdError(
          "ERR_PARTD_PROTOCOL",
          `The server answered a request for ${range} of s3://${bucket}/${key} with the whole object: it, or a proxy in front of it, does not support Range, which the store needs; use another endpoint.`,
          { address: key },
        );
      }
      if (Body && Symbol.asyncIterator in Body) return Body as AsyncIterable<Uint8Array>;
      return (await Body?.transformToByteArray()) ?? new Uint8Array(0);
    },

    list: async ({ bucket, prefix, startAfter, signal }: ListRequest): Promise<ListPage> => {
      // A page may be empty although more follow: it has no name after which to continue, so use the
      // token.
      let token: string | undefined;
      let page: ListObjectsV2CommandOutput;
      for (;;) {
        page = await client.send(
          new ListObjectsV2Command({
            Bucket: bucket,
            Prefix: prefix,
            StartAfter: startAfter,
            ContinuationToken: token,
          }),
          { abortSignal: signal },
        );
        const { Contents = [], IsTruncated = false, NextContinuationToken: next } = page;
        if (Contents.length > 0 || !IsTruncated || !next || next === token) break;
        token = next;
      }
      const { Contents = [], IsTruncated = false } = page;
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
