import { expect, test } from "@jest/globals";
import { Dict } from "@partd/core";
import { Client, Server, type ServerLimits } from "@partd/server";

test.each([
  ["an unknown one", { conections: 5 }, "limits.conections. Did you mean connections?"],
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

test("close refuses an option that it does not have, and does not close", async () => {
  await using server = await Server.listen(new Dict());
  await expect(server.close({ singal: AbortSignal.abort() } as object)).rejects.toMatchObject({
    code: "ERR_PARTD_VALUE",
    message: "close() has no option singal. Did you mean signal?",
  });
  await using client = new Client(server.address);
  await client.get("x");
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

test.each([
  [{ adress: "ipc://x" }, "Server.listen() has no option adress. Did you mean address?"],
  [{ tokn: "secret" }, "Server.listen() has no option tokn. Did you mean token?"],
  [{ token: 5 }, "token must be a string, not 5."],
  [{ insecure: "no" }, 'insecure must be true or false, not "no".'],
  [{ origins: "https://example.org" }, "origins must be a list of strings"],
])("a server refuses %p", async (options, message) => {
  await expect(Server.listen(new Dict(), options as object)).rejects.toMatchObject({
    code: "ERR_PARTD_VALUE",
    message: expect.stringContaining(message),
  });
});

test.each([undefined, 5, new URL("ws://127.0.0.1:1")])(
  "a client's address is a string: %p",
  (to) => {
    expect(() => new Client(to as unknown as string)).toThrow(
      expect.objectContaining({
        code: "ERR_PARTD_VALUE",
        message: expect.stringContaining('as in new Client("ws://127.0.0.1:8765"), not '),
      }),
    );
  },
);

test("a client refuses an option that it does not have, and a subclass may have others", async () => {
  expect(() => new Client("ipc://nowhere", { tokn: "secret" } as object)).toThrow(
    "new Client() has no option tokn. Did you mean token?",
  );
  class Mine extends Client {}
  const options = { mine: 1, timeout: 5 };
  await new Mine("ipc://nowhere", options).close();
});

test("a server takes a store", async () => {
  await expect(Server.listen("shuffle" as never)).rejects.toMatchObject({
    code: "ERR_PARTD_VALUE",
    message: expect.stringContaining("Server.listen() takes a store first"),
  });
});
