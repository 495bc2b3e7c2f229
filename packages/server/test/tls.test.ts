import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "@jest/globals";
import { Dict } from "@partd/core";
import { Client, type ClientTls, Server, type ServerOptions } from "@partd/server";
import { describeReal, realPart } from "tooling/real-part";

const openssl = realPart.openssl();
const directory = mkdtempSync(join(tmpdir(), "partd-tls-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const value = new Uint8Array([1, 2, 3]);

/** A key and a certificate that it has signed itself. */
function certificate(name: string): { readonly key: Buffer; readonly cert: Buffer } {
  const [key, cert] = [join(directory, `${name}.key`), join(directory, `${name}.pem`)];
  const made = spawnSync(openssl.command as string, [
    ..."req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split(" "),
    ...["-subj", `/CN=${name}`, "-addext", `subjectAltName=${name}`, "-keyout", key, "-out", cert],
  ]);
  expect(made.status).toBe(0);
  return { key: readFileSync(key), cert: readFileSync(cert) };
}

describeReal(openssl, "wss", () => {
  const own = certificate("IP:127.0.0.1");
  const other = certificate("DNS:other.example");
  const listen = (tls: ServerOptions["tls"], address = "wss://127.0.0.1:0") =>
    Server.listen(new Dict(), { address, tls });

  test("with a certificate, and with one of the client", async () => {
    await using server = await listen({ ...own, requestCert: true, ca: own.cert });
    await using client = new Client(server.address, { tls: { ...own, ca: own.cert } });
    await client.append({ x: value });
    expect(await client.get("x")).toEqual(value);
  });

  test.each(["TLSv1.2", "TLSv1.3"] as const)(
    "a client whose certificate the server does not know learns what to do, in %s",
    async (minVersion) => {
      const versions = { minVersion, maxVersion: minVersion };
      await using server = await listen({ ...own, requestCert: true, ca: own.cert });
      const tls = { ...other, ...versions, ca: own.cert };
      const stranger = new Client(server.address, { tls, timeout: 1_000 });
      const failed = new Promise((resolve) => {
        stranger.addEventListener("retry", ({ detail }) => resolve(detail.error));
      });
      const reading = stranger.get("x").catch((error: unknown) => error);
      const refused = {
        code: "ERR_PARTD_CONNECTION",
        message: expect.stringMatching(/does not accept this client's certificate.*tls\.ca/),
      };
      expect(await failed).toMatchObject(refused);
      await stranger.close().catch(() => {});
      await reading;
    },
  );

  test("sides that do not trust each other, or share no version, are not tried again", async () => {
    const cases: [ServerOptions["tls"], ClientTls | undefined, string][] = [
      [own, undefined, "self-signed certificate"],
      [other, { ca: other.cert }, "does not match certificate's altnames"],
      [{ ...own, requestCert: true, ca: own.cert }, { ca: own.cert }, "certificate required"],
      [{ ...own, minVersion: "TLSv1.3" }, { ca: own.cert, maxVersion: "TLSv1.2" }, "version"],
      [own, { ca: own.cert, key: "nonsense", cert: "nonsense" }, "PEM"],
    ];
    for (const [ofServer, tls, reason] of cases) {
      await using server = await listen(ofServer);
      const client = new Client(server.address, { tls, timeout: 600_000 });
      const again = new Promise((resolve) => client.addEventListener("retry", resolve));
      await expect(Promise.race([client.append({ x: value }), again])).rejects.toMatchObject({
        code: "ERR_PARTD_CONNECTION",
        message: expect.stringMatching(`TLS failed with ".*${reason}.*tls options`),
      });
      await client.close();
    }
  });

  test("tls is refused where it would do nothing, or nobody could connect", async () => {
    const protects = { ...own, requestCert: true, ca: own.cert };
    for (const address of ["ws://0.0.0.0:0", "ws://127.0.0.1:0", `ipc://${directory}/socket`]) {
      await expect(listen(protects, address)).rejects.toMatchObject({ code: "ERR_PARTD_VALUE" });
      expect(() => new Client(address, { tls: { ca: own.cert } })).toThrow("wss://");
    }
    const mixed = { key: own.key, cert: other.cert };
    for (const tls of [undefined, {}, { key: own.key }, mixed, { key: "x", cert: "x" }]) {
      await expect(listen(tls)).rejects.toMatchObject({
        code: "ERR_PARTD_VALUE",
        message: expect.stringContaining("tls"),
      });
    }
  });

  test("client certificates of any authority at all protect nothing", async () => {
    const open = { address: "wss://0.0.0.0:0", tls: { ...own, requestCert: true } };
    await expect(Server.listen(new Dict(), open)).rejects.toMatchObject({
      code: "ERR_PARTD_AUTH",
      message: expect.stringContaining("tls.ca"),
    });
    const tls = { ...open.tls, ca: own.cert };
    await (await Server.listen(new Dict(), { ...open, tls })).close();
  });
});
