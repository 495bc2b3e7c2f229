import { expect, test } from "@jest/globals";
import { S3Store, type S3StoreOptions } from "@partd/s3";

const never = () => Promise.reject(new Error("no request is made"));
const client = { put: never, get: never, list: never, delete: never } as S3StoreOptions["client"];
const given = { client, bucket: "b", prefix: "p" };

test.each([
  [{ segmentSize: 65_536 }, "new S3Store() has no option segmentSize. Did you mean segmentBytes?"],
  [{ fresh: 1 }, "fresh must be true or false, not 1."],
  [{ leaseMs: 1 }, "leaseMs must be an integer from 100 to 2147483647, not 1."],
])("%p is refused", (options, message) => {
  expect(() => new S3Store({ ...given, ...options } as S3StoreOptions)).toThrow(
    expect.objectContaining({ code: "ERR_PARTD_VALUE", message }),
  );
});

test("seal and sweep refuse an option that they do not have", async () => {
  const store = new S3Store(given);
  const message = (name: string) => expect.stringContaining(`${name}() has no option olderThan.`);
  for (const name of ["seal", "sweep"] as const) {
    await expect(store[name]({ olderThan: 1 } as object)).rejects.toMatchObject({
      code: "ERR_PARTD_VALUE",
      message: message(name),
    });
  }
});

test("options are needed, and a subclass may have more", () => {
  for (const options of [undefined, "s3://bucket/prefix"]) {
    expect(() => new S3Store(options as never)).toThrow("takes an object of options (client, ");
  }
  class Mine extends S3Store {}
  new Mine({ ...given, mine: 1 } as S3StoreOptions);
});
