// One S3 server for all test files of this package. PARTD_S3_ENDPOINT names one that runs already.
import { hasRadosgw, startRadosgw } from "tooling/radosgw";

export default async function setup() {
  if (process.env.PARTD_S3_ENDPOINT || !hasRadosgw()) return;
  globalThis.partdS3 = await startRadosgw();
  process.env.PARTD_S3_ENDPOINT = globalThis.partdS3.endpoint;
}
