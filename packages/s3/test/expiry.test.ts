import { readFileSync } from "node:fs";
import {
  GetBucketLifecycleConfigurationCommand,
  PutBucketLifecycleConfigurationCommand,
} from "@aws-sdk/client-s3";
import { expect, test } from "@jest/globals";
import { describeReal } from "tooling/real-part";
import { newBucket, radosgw } from "./bucket.js";

describeReal(radosgw, "expiry, on radosgw", () => {
  test("the README's lifecycle rule is one that a server takes", async () => {
    const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
    const [, json = ""] = /--lifecycle-configuration '([^']*)'/.exec(readme) ?? [];
    const LifecycleConfiguration = JSON.parse(json);
    const { client, name: Bucket } = await newBucket();
    await client.send(
      new PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration }),
    );
    const there = await client.send(new GetBucketLifecycleConfigurationCommand({ Bucket }));
    expect(there.Rules).toMatchObject(LifecycleConfiguration.Rules);
  });
});
