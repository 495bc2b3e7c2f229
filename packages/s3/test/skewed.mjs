// Appends once, with a clock that differs by so many milliseconds.
import { S3Client } from "@aws-sdk/client-s3";
import { S3Store } from "@partd/s3";
import { awsClient } from "@partd/s3/aws";

const [endpoint, bucket, prefix, skew, value] = process.argv.slice(2);
const now = Date.now;
Date.now = () => now() + Number(skew);
const credentials = { accessKeyId: "partd", secretAccessKey: "partd-secret" };
const sdk = new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, credentials });
const store = new S3Store({ client: awsClient(sdk), bucket, prefix });
await store.append({ x: Buffer.from(value) });
await store.close();
sdk.destroy();
