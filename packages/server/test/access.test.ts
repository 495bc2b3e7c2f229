import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { inspect } from "node:util";
import { afterAll, describe, expect, test } from "@jest/globals";
import { Dict } from "@partd/core";
import { Client, Server } from "@partd/server";
import WebSocket, { WebSocketServer } from "ws";
import { Child } from "./child.js";
import { RawClient } from "./raw-client.js";

const directory = await mkdtemp(join(tmpdir(), "partd-access-"));
afterAll(() => rm(directory, { recursive: true, force: true }));
const value = new Uint8Array([1, 2, 3]);

describe("tokens", () => {
  test("a client without it, or with a wrong one, is refused; with it, it is served", async () => {
    await using server = await Server.listen(new Dict(), { token: "right" });
    for (const token of [undefined, "wrong", "righ", "right "]) {
      const client = new Client(server.address, { token });
      const error = await client.append({ x: value }).then(
        () => undefined,
        (reason: Error) => reason,
      );
      expect(error).toMatchObject({ code: "ERR_PARTD_AUTH", address: server.address });
      expect(error?.message).not.toContain("right");
      await client.close();
    }
    await using client = new Client(server.address, { token: "right" });
    await client.append({ x: value });
    expect(await client.get("x")).toEqual(value);
  });

  test("nothing is carried out before the hello", async () => {
    await using server = await Server.listen(new Dict(), { token: "right" });
    const client = new RawClient(server.address);
    await client.opened();
    client.socket.send(new Uint8Array([0x06, 0, 0, 0, 1, 0, 0, 0, 1]));
    await client.closed;
    expect(client.error).toMatchObject({ code: "ERR_PARTD_PROTOCOL" });
  });

  test("numbers and the page need it too, health does not", async () => {
    await using server = await Server.listen(new Dict(), { token: "right", dashboard: true });
    const url = server.address.replace("ws:", "http:");
    const status = async (path: string, authorization?: string) =>
      (await fetch(url + path, authorization ? { headers: { authorization } } : {})).status;
    expect(await status("/healthz")).toBe(200);
    for (const path of ["/", "/stats", "/metrics"]) {
      expect(await status(path)).toBe(401);
      expect(await status(path, "Bearer wrong")).toBe(401);
      expect(await status(path, "Bearer right")).toBe(200);
      expect(await status(path, `Basic ${btoa("anyone:right")}`)).toBe(200);
    }
  });

  test("over HTTP, too, a token may have spaces, colons and any letters", async () => {
    for (const token of ["correct horse battery", "a:b c:d", "pässwörd", "ключ ☃"]) {
      await using server = await Server.listen(new Dict(), { token });
      const url = `${server.address.replace("ws:", "http:")}/metrics`;
      const bytes = Buffer.from(token).toString("latin1");
      const basic = Buffer.from(`anyone:${token}`).toString("base64");
      for (const authorization of [`Bearer ${bytes}`, `bearer  ${bytes}`, `Basic ${basic}`]) {
        expect((await fetch(url, { headers: { authorization } })).status).toBe(200);
      }
      const authorization = `Bearer ${bytes} x`;
      expect((await fetch(url, { headers: { authorization } })).status).toBe(401);
    }
  });
});

test("a token is in no error, event, number or page", async () => {
  const token = "a-token-that-nobody-sees";
  await using server = await Server.listen(new Dict(), { token, dashboard: true });
  const told: unknown[] = [];
  for (const own of [token, `${token}!`]) {
    const client = new Client(server.address, { token: own, timeout: 200 });
    for (const type of ["connect", "disconnect", "retry", "giveup"] as const) {
      client.addEventListener(type, ({ detail }) => told.push(detail));
    }
    await client.append({ x: value }).catch((error: unknown) => told.push(error));
    told.push(client);
    await client.close();
  }
  const headers = { authorization: `Bearer ${token}` };
  for (const path of ["/", "/stats", "/metrics", "/nothing"]) {
    const answer = await fetch(server.address.replace("ws:", "http:") + path, { headers });
    told.push(await answer.text(), answer.headers);
  }
  told.push(server, server.stats());
  expect(inspect(told, { depth: 10, showHidden: true })).not.toContain(token);
});

describe("who can reach it", () => {
  test("an address that others reach is refused, unless something is asked of them", async () => {
    for (const address of ["ws://0.0.0.0:0", "ws://[::]:0", "ws://192.0.2.1:0"]) {
      await expect(Server.listen(new Dict(), { address })).rejects.toMatchObject({
        code: "ERR_PARTD_AUTH",
      });
    }
    await (await Server.listen(new Dict(), { address: "ws://0.0.0.0:0", token: "t" })).close();
    await (await Server.listen(new Dict(), { address: "ws://0.0.0.0:0", insecure: true })).close();
  });

  test("a page of another origin cannot connect, nor one whose name was made to point here", async () => {
    await using server = await Server.listen(new Dict(), {
      origins: ["https://app.example"],
      dashboard: true,
    });
    const { host, port } = new URL(server.address);
    const opens = async (origin: string, headers = {}) => {
      const client = new RawClient(server.address, { origin, headers });
      const welcomed = client.hello().then(
        () => true,
        () => false,
      );
      const refused = client.closed.then((code) => {
        expect(code).toBe(4403);
        return false;
      });
      return Promise.race([welcomed, refused]);
    };
    expect(await opens("https://evil.example")).toBe(false);
    expect(await opens("null")).toBe(false);
    expect(await opens(`http://evil.example:${port}`, { host: `evil.example:${port}` })).toBe(
      false,
    );
    expect(await opens(`http://${host}`)).toBe(true);
    expect(await opens("https://app.example")).toBe(true);
  });

  test("origins and hosts may be written in any way that names them, and others are refused", async () => {
    const origins = ["https://App.example/", "https://other.example:443", "chrome-extension://abc"];
    await using server = await Server.listen(new Dict(), { origins, hosts: ["Partd.Internal"] });
    const opens = (origin: string, host = "127.0.0.1") =>
      new RawClient(server.address, { origin, headers: { host } }).hello();
    await opens("https://app.example");
    await opens("https://other.example");
    await opens("chrome-extension://abc");
    await opens("http://partd.internal:99", "partd.internal:99");
    for (const wrong of [{ origins: ["app.example"] }, { hosts: ["partd.internal:99"] }]) {
      await expect(Server.listen(new Dict(), wrong)).rejects.toMatchObject({
        code: "ERR_PARTD_VALUE",
        message: expect.stringMatching(/"(app.example|partd.internal:99)"/) as unknown as string,
      });
    }
  });

  test("a loopback address may be written as IPv6 writes one of IPv4", async () => {
    await using server = await Server.listen(new Dict(), { address: "ws://[::ffff:127.0.0.1]:0" });
    await using client = new Client(server.address);
    expect(await client.get("x")).toEqual(new Uint8Array(0));
  });

  test("a server of another version, or without room, says so", async () => {
    await using server = await Server.listen(new Dict(), { limits: { connections: 1 } });
    const answer = (protocol: string) =>
      new Promise<string>((resolve) => {
        const socket = new WebSocket(server.address, protocol);
        socket.on("unexpected-response", async (_, response) => {
          resolve(`${response.statusCode} ${await text(response)}`);
          socket.terminate();
        });
        socket.on("error", () => {});
      });
    expect(await answer("partd.2")).toMatch(/^400 .*partd\.1/);
    await using client = new Client(server.address);
    await client.get("x");
    expect(await answer("partd.1")).toMatch(/^503 .*limits\.connections/);
  });

  test("an address that is none, and a limit that is none, are refused", async () => {
    for (const address of ["http://localhost:1", "nonsense", "ipc://", "ws://x/path"]) {
      await expect(Server.listen(new Dict(), { address })).rejects.toMatchObject({
        code: "ERR_PARTD_CONNECTION",
      });
    }
    await expect(Server.listen(new Dict(), { limits: { idle: 0 } })).rejects.toThrow("limits.idle");
  });

  test("an address with a user, a query or a fragment is refused at once, and its secret not repeated", async () => {
    for (const rest of [
      "//me:secret@127.0.0.1:9",
      "//127.0.0.1:9/?secret",
      "//127.0.0.1:9/#secret",
    ]) {
      for (const address of [`ws:${rest}`, `WSS:${rest}`]) {
        const client = new Client(address);
        for (const refused of [
          Server.listen(new Dict(), { address, tls: {} }),
          client.append({ x: new Uint8Array(1) }),
        ]) {
          await expect(refused).rejects.toMatchObject({
            code: "ERR_PARTD_CONNECTION",
            message: expect.not.stringContaining("secret"),
          });
        }
        await client.close();
      }
    }
  });

  test("what a connect of the caller's own throws is ERR_PARTD_CONNECTION", async () => {
    const connect = () => {
      throw new SyntaxError("no such address");
    };
    await using client = new Client("ws://127.0.0.1:9", { connect });
    await expect(client.get("x")).rejects.toMatchObject({
      code: "ERR_PARTD_CONNECTION",
      message: "No connection to ws://127.0.0.1:9 can be made: no such address.",
    });
  });

  test("a port that is taken is ERR_PARTD_IO", async () => {
    await using server = await Server.listen(new Dict());
    await expect(Server.listen(new Dict(), { address: server.address })).rejects.toMatchObject({
      code: "ERR_PARTD_IO",
      address: server.address,
      message: expect.stringMatching(/EADDRINUSE.* give another port; 0 takes a free one\.$/),
    });
  });

  test("a server that is not there is asked for", async () => {
    await using client = new Client(`ipc://${join(directory, "nobody.sock")}`, { timeout: 1 });
    await expect(client.get("x")).rejects.toMatchObject({
      code: "ERR_PARTD_CONNECTION",
      message: expect.stringMatching(/^No connection to ipc:.*\. Is the server running there\?$/),
    });
  });
});

describe("socket files", () => {
  test("whoever can open them may call the host what they like", async () => {
    await using server = await Server.listen(new Dict(), {
      address: `ipc://${join(directory, "any.sock")}`,
    });
    const url = `ws+unix://${join(directory, "any.sock")}:/`;
    const client = new RawClient(url, { headers: { Host: "any" } });
    expect((await client.hello()).resumed).toBe(false);
    client.socket.terminate();
    expect(server.stats().totals.refused).toBe(0);
  });

  test("they are the user's alone, whatever the umask, and go with the server", async () => {
    const path = join(directory, "private.sock");
    const server = await Server.listen(new Dict(), { address: `ipc://${path}` });
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    await server.close();
    await expect(stat(path)).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("a client that connects the moment the socket is there is served", async () => {
    const folder = await mkdtemp(join(directory, "moment-"));
    const path = join(folder, "partd.sock");
    const listening = Server.listen(new Dict(), { address: `ipc://${path}` });
    // The server takes its hidden directory away after it has linked the socket: what is in there
    // keeps it at that for a while.
    let filled = false;
    while (!existsSync(path)) {
      const hidden = readdirSync(folder).find((name) => name.startsWith(".") && !filled);
      if (hidden) {
        filled = true;
        for (let i = 0; i < 300; i++) writeFileSync(join(folder, hidden, `${i}`), "");
      }
      await new Promise(setImmediate);
    }
    const client = new RawClient(`ws+unix://${path}:/`);
    await client.hello();
    client.socket.close();
    await (await listening).close();
  });

  test("what a killed server left is taken over", async () => {
    const path = join(directory, "stale.sock");
    const dead = new Child("serve.mjs", `ipc://${path}`, "file", join(directory, "stale"));
    await dead.line();
    await dead.kill();
    expect((await stat(path)).isSocket()).toBe(true);
    await using server = await Server.listen(new Dict(), { address: `ipc://${path}` });
    await using client = new Client(server.address);
    await client.append({ x: value });
  });

  test("a live server's is ERR_PARTD_IO, and that one goes on", async () => {
    const address = `ipc://${join(directory, "live.sock")}`;
    await using server = await Server.listen(new Dict(), { address });
    const second = Server.listen(new Dict(), { address });
    await expect(second).rejects.toMatchObject({ code: "ERR_PARTD_IO" });
    await using client = new Client(server.address);
    await client.append({ x: value });
  });

  test("a file that is not a socket stays as it is", async () => {
    const path = join(directory, "file");
    await writeFile(path, "text");
    await expect(Server.listen(new Dict(), { address: `ipc://${path}` })).rejects.toMatchObject({
      code: "ERR_PARTD_IO",
      path,
    });
    expect(await readFile(path, "utf8")).toBe("text");
    const pointer = join(directory, "pointer");
    await symlink(path, pointer);
    await expect(Server.listen(new Dict(), { address: `ipc://${pointer}` })).rejects.toMatchObject({
      code: "ERR_PARTD_IO",
    });
  });

  test("a path that is too long for a socket is said to be", async () => {
    const address = `ipc://${join(directory, "x".repeat(120))}`;
    await expect(Server.listen(new Dict(), { address })).rejects.toMatchObject({
      code: "ERR_PARTD_CONNECTION",
    });
    await expect(new Client(address).get("x")).rejects.toMatchObject({
      code: "ERR_PARTD_CONNECTION",
    });
  });
});

test("a server that breaks the WebSocket protocol is not tried again and again", async () => {
  const other = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  let attempts = 0;
  other.on("connection", (_, request) => {
    attempts++;
    request.socket.write(Uint8Array.of(0xf2, 0)); // Reserved bits.
  });
  await new Promise((resolve) => other.once("listening", resolve));
  const { port } = other.address() as { port: number };
  const client = new Client(`ws://127.0.0.1:${port}`, { timeout: 600_000 });
  await expect(client.append({ x: value })).rejects.toMatchObject({ code: "ERR_PARTD_PROTOCOL" });
  expect(attempts).toBe(1);
  await new Promise((resolve) => other.close(resolve));
});

test("a WebSocket of another program is not tried again and again", async () => {
  const other = new WebSocketServer({ port: 0, host: "127.0.0.1", handleProtocols: () => false });
  await new Promise((resolve) => other.once("listening", resolve));
  const { port } = other.address() as { port: number };
  const client = new Client(`ws://127.0.0.1:${port}`, { timeout: 600_000 });
  const again = new Promise((resolve) => client.addEventListener("retry", resolve));
  await expect(Promise.race([client.get("x"), again])).rejects.toMatchObject({
    code: "ERR_PARTD_PROTOCOL",
    message: expect.stringContaining("no subprotocol") as unknown as string,
  });
  await client.close();
  await new Promise((resolve) => other.close(resolve));
});

test("what listens there and is not a partd server is ERR_PARTD_CONNECTION", async () => {
  const other = createServer((socket) => socket.resume().end("SSH-2.0-something\r\n"));
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  const { port } = other.address() as { port: number };
  const client = new Client(`ws://127.0.0.1:${port}`, { timeout: 100 });
  await expect(client.append({ x: value })).rejects.toMatchObject({ code: "ERR_PARTD_CONNECTION" });
  await new Promise((resolve) => other.close(resolve));
});
