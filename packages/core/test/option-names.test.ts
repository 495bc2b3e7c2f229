import { describe, expect, test } from "@jest/globals";
import { isPartdError } from "@partd/core";
import { checkOptionNames, nearest, takeOptions } from "@partd/core/author";

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

describe("options of a constructor", () => {
  interface Options {
    readonly path?: string;
    readonly sync?: boolean;
    readonly names?: readonly string[];
    readonly size?: number;
  }
  const take = (options: object, isSubclass?: boolean) =>
    takeOptions<Options>(
      "new Store",
      options,
      { path: "string", sync: "boolean", names: "strings", size: true },
      isSubclass,
    );
  const refused = (message: string) =>
    expect.objectContaining({ code: "ERR_PARTD_VALUE", message });

  test("are taken as they stand, also from an object of a class", () => {
    class Settings {
      path = "x";
      get sync() {
        return true;
      }
      size = undefined;
    }
    expect(take(new Settings())).toEqual({ path: "x", sync: true });
    expect(take({ other: undefined })).toEqual({});
  });

  test("have known names, unless a subclass has others", () => {
    const message = "new Store() has no option pth. Did you mean path?";
    expect(() => take({ pth: "x" })).toThrow(refused(message));
    expect(take({ pth: "x", size: 1 }, true)).toEqual({ size: 1 });
    expect(() => take([], true)).toThrow("new Store() takes an object of options");
  });

  test.each([
    ["sync", 5, "sync must be true or false, not 5."],
    ["path", null, "path must be a string, not null."],
    ["path", new Date(), "path must be a string, not an object of Date."],
    ["path", Object.create(null), "path must be a string, not an object."],
    ["path", {}, "path must be a string, not an object."],
    ["path", Date, "path must be a string, not the function Date."],
    ["names", "x", 'names must be a list of strings, not "x".'],
    ["names", [1], "names must be a list of strings, not an object of Array."],
  ])("%s cannot be %p", (name, value, message) => {
    expect(() => take({ [name]: value })).toThrow(refused(message));
    expect(() => take({ [name]: value }, true)).toThrow(refused(message));
  });
});
