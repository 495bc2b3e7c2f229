import { beforeAll, describe, test } from "@jest/globals";
import { S3Store } from "@partd/s3";
import { awsClient } from "@partd/s3/aws";
import { storeContract } from "@partd/testing";
import { describeReal } from "tooling/real-part";
import { type Bucket, newBucket, radosgw } from "./bucket.js";

describeReal(radosgw, "on radosgw", () => {
  let bucket: Bucket;
  beforeAll(async () => {
    bucket = await newBucket();
  });

  describe("the store contract", () => {
    const cases = storeContract((dataSet) => bucket.store(dataSet.name), {
      persistent: true,
      shared: true,
      largestValue: 20 * 2 ** 20,
      numRuns: 5,
      openBroken: (dataSet) =>
        new S3Store({
          client: awsClient(bucket.client),
          bucket: `${bucket.name}-none`,
          prefix: dataSet.name,
        }),
    });
    for (const { name, run } of cases) test(name, run);
  });
});
