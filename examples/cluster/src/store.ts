import { S3Client } from "@aws-sdk/client-s3";
import type { Store } from "@partd/core";
import { RedisStore } from "@partd/redis";
import { S3Store } from "@partd/s3";
import { awsClient } from "@partd/s3/aws";

/**
 * The store of a run, in any process of any machine.
 *
 * @param address `redis://host:port`, or of a bucket, `https://host/bucket`; the SDK finds credentials
 *   and region where it always does.
 * @param name of the data set.
 */
export function openStore(address: string, name: string): Store {
  if (!/^https?:/.test(address)) return new RedisStore({ url: address, prefix: name });
  return new S3Store({
    client: awsClient(s3Client(address)),
    bucket: bucketOf(address),
    prefix: name,
  });
}

export function s3Client(address: string): S3Client {
  return new S3Client({ endpoint: new URL(address).origin, forcePathStyle: true });
}

export function bucketOf(address: string): string {
  return new URL(address).pathname.slice(1);
}
