import { beforeAll, describe, test } from "@jest/globals";
import { storeContract } from "@partd/testing";
import { describeReal } from "tooling/real-part";
import { type Bucket, newBucket, radosgw } from "./bucket.js";

// A file of its own, so that it runs beside the whole contract.
describeReal(radosgw, "on radosgw", () => {
  let bucket: Bucket;
  beforeAll(async () => {
    bucket = await newBucket();
  });

  describe("the store contract, in small parts", () => {
    const options = { segmentBytes: 65_536, coalesceGap: 1000, indexMemory: 65_536 };
    const cases = storeContract((dataSet) => bucket.store(dataSet.name, options), {
      persistent: true,
      shared: true,
      largestValue: 3_000_000,
      manyKeys: 1_000,
      numRuns: 3,
    }).filter(({ name }) =>
      /large|MiB|buffer|many|^stream|overlapping|entries|random|drop/.test(name),
    );
    for (const { name, run } of cases) test(name, run);
  });
});
