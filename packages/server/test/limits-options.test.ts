import { expect, test } from "@jest/globals";
import { Dict } from "@partd/core";
import { Client, Server, type ServerLimits } from "@partd/server";

test.each([
  ["an unknown one", { conections: 5 }, "limits.conections"],
  ["none at all", { connections: 0 }, "limits.connections"],
  ["no number", { answers: Number.NaN }, "limits.answers"],
  ["one without an end", { request: Number.POSITIVE_INFINITY }, "limits.request"],
  ["a time that no timer can wait", { idle: 2 ** 31 }, "limits.idle"],
  ["messages too short for a chunk", { message: 64 }, "limits.message"],
])("a limit that cannot be is refused: %s", async (_, limits, name) => {
  await expect(Server.listen(new Dict(), { limits: limits as ServerLimits })).rejects.toMatchObject(
    {
      code: "ERR_PARTD_VALUE",
      message: expect.stringContaining(name),
    },
  );
});

test("a token that is empty is refused", async () => {
  await expect(Server.listen(new Dict(), { token: "" })).rejects.toMatchObject({
    code: "ERR_PARTD_VALUE",
  });
});

test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31])(
  "a client's timeout of %d is refused",
  (timeout) => {
    expect(() => new Client("ipc://nowhere", { timeout })).toThrow("timeout must be");
  },
);
