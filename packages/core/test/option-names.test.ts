import { expect, test } from "@jest/globals";
import { isPartdError } from "@partd/core";
import { checkOptionNames, nearest } from "@partd/core/author";

test("the nearest name", () => {
  expect(nearest("usre", ["id", "user", "users"])).toBe("user");
  expect(nearest("User", ["user"])).toBe("user");
  expect(nearest("dsc", ["asc", "desc"])).toBe("desc");
  expect(nearest("zzz", ["user"])).toBeUndefined();
  expect(nearest("x", ["y"])).toBeUndefined();
});

test("names of options", () => {
  const check = (options: object) => checkOptionNames("open", options, { path: true, mode: true });
  const message = (options: unknown) => {
    try {
      check(options as object);
    } catch (error) {
      if (isPartdError(error, "ERR_PARTD_VALUE")) return error.message;
    }
    return undefined;
  };
  expect(message({})).toBeUndefined();
  expect(message({ path: "x", mode: undefined, other: undefined })).toBeUndefined();
  expect(message({ pth: "x" })).toBe("open() has no option pth. Did you mean path?");
  expect(message({ toString: 1 })).toBe("open() has no option toString. Its options: path, mode");
  for (const given of [undefined, null, "path", 1, ["path"]]) {
    expect(message(given)).toMatch(/^open\(\) takes an object of options \(path, mode\), not /);
  }
});
