import { expect, test } from "@jest/globals";
import { RedisStore } from "@partd/redis";

const url = "redis://127.0.0.1:1";

test.each([
  [{ uri: url }, "new RedisStore() has no option uri. Did you mean url?"],
  [
    { url, expiresAfter: 5 },
    "new RedisStore() has no option expiresAfter. Did you mean expireAfter?",
  ],
  [{ url: 5 }, "url must be a string, not 5."],
  [{ nodes: url }, `nodes must be a list of strings, not "${url}".`],
])("%p is refused", (options, message) => {
  expect(() => new RedisStore(options as object)).toThrow(
    expect.objectContaining({ code: "ERR_PARTD_VALUE", message }),
  );
});

test("options are needed, and a subclass may have more", () => {
  for (const options of [undefined, url]) {
    expect(() => new RedisStore(options as never)).toThrow("takes an object of options (url, ");
  }
  class Mine extends RedisStore {}
  const options = { url, mine: 1 };
  new Mine(options);
});
