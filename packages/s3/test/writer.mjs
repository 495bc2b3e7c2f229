// Appends to two keys at once, in parts, for ever; a line for each append that is done.
import { S3Client } from "@aws-sdk/client-s3";
import { S3Store } from "@partd/s3";
import { awsClient } from "@partd/s3/aws";

const [endpoint, bucket, prefix] = process.argv.slice(2);
const credentials = { accessKeyId: "partd", secretAccessKey: "partd-secret" };
const sdk = new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, credentials });
const store = new S3Store({ client: awsClient(sdk), bucket, prefix, segmentBytes: 65_536 });
for (let i = 0; ; i++) {
  const value = new Uint8Array(200_000).fill(i);
  await store.append({ a: value, b: value });
  console.log(i);
}
