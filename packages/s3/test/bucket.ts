import {
  CreateBucketCommand,
  ListObjectsV2Command,
  S3Client,
  type S3ClientConfig,
} from "@aws-sdk/client-s3";
import { S3Store, type S3StoreOptions } from "@partd/s3";
import { awsClient } from "@partd/s3/aws";
import { realPart } from "tooling/real-part";

/** What `describeReal` needs for tests on a real server. */
export const radosgw = [
  realPart.program("radosgw"),
  realPart.program("ceph-mon"),
  realPart.program("ceph-osd"),
  realPart.program("ceph", "ceph-common"),
];

export const credentials = { accessKeyId: "partd", secretAccessKey: "partd-secret" };

export function endpoint(): string {
  const endpoint = process.env["PARTD_S3_ENDPOINT"];
  if (!endpoint) throw new Error("no S3 server was started");
  return endpoint;
}

/** A client of the server, which repeats nothing by itself. */
export function sdk(config: S3ClientConfig = {}): S3Client {
  return new S3Client({
    endpoint: endpoint(),
    region: "us-east-1",
    forcePathStyle: true,
    credentials,
    maxAttempts: 1,
    ...config,
  });
}

export interface Bucket {
  readonly name: string;
  readonly client: S3Client;
  /** A store in the bucket, over a data set of that name. */
  store(prefix: string, options?: Partial<S3StoreOptions>): S3Store;
}

/** A new bucket. */
export async function newBucket(): Promise<Bucket> {
  const client = sdk();
  const name = `b${crypto.randomUUID()}`;
  await client.send(new CreateBucketCommand({ Bucket: name }));
  return {
    name,
    client,
    store: (prefix, options) =>
      new S3Store({ client: awsClient(client), bucket: name, prefix, ...options }),
  };
}

/** The names of all objects that begin so. */
export async function namesIn({ client, name }: Bucket, prefix: string): Promise<string[]> {
  const { Contents = [] } = await client.send(
    new ListObjectsV2Command({ Bucket: name, Prefix: prefix }),
  );
  return Contents.map(({ Key = "" }) => Key);
}

export function bytes(text: string): Uint8Array {
  return Buffer.from(text);
}

/** What a key holds, as text. */
export async function read(store: S3Store, key: string): Promise<string> {
  return Buffer.from(await store.get(key)).toString();
}
