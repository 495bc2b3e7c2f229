// A one-node Ceph with an S3 gateway on loopback: a monitor, one OSD in memory and radosgw, as child
// processes of this one, without systemd or root. Whatever ends this process ends them.
import { execFile, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

export function hasRadosgw() {
  const folders = (process.env.PATH ?? "").split(delimiter);
  return ["radosgw", "ceph-mon", "ceph-osd", "ceph"].every((program) =>
    folders.some((folder) => existsSync(join(folder, program))),
  );
}

const LIMIT_MS = 180_000;
const credentials = { accessKeyId: "partd", secretAccessKey: "partd-secret" };

export async function startRadosgw() {
  const deadline = Date.now() + LIMIT_MS;
  for (;;) {
    const cluster = new Cluster(deadline);
    try {
      await cluster.start();
      return { endpoint: cluster.endpoint, credentials, stop: () => cluster.stop() };
    } catch (error) {
      const logs = cluster.lastLines();
      cluster.stop();
      // A port may have been taken between our look and the start.
      if (Date.now() < deadline && /address already in use|\(98\)/i.test(logs)) continue;
      throw new Error(`radosgw did not start: ${error.message}\n${logs}`);
    }
  }
}

class Cluster {
  endpoint = "";
  #folder = mkdtempSync(join(tmpdir(), "radosgw-"));
  #config = join(this.#folder, "ceph.conf");
  #children = [];
  #deadline;
  #stop = () => this.stop();

  constructor(deadline) {
    this.#deadline = deadline;
    process.once("exit", this.#stop);
  }

  async start() {
    const [monitor, gateway] = await freePorts(2);
    const folder = this.#folder;
    for (const name of ["mon", "osd", "rgw"]) mkdirSync(join(folder, name));
    const fsid = randomUUID();
    writeFileSync(this.#config, configuration(folder, fsid, monitor, gateway));
    const keyring = join(folder, "keyring");
    await this.#run(
      "ceph-authtool",
      "--create-keyring",
      keyring,
      "--gen-key",
      "-n",
      "mon.",
      "--cap",
      "mon",
      "allow *",
    );
    for (const name of ["client.admin", "osd.0", "client.rgw"]) {
      const caps = ["mon", "osd", "mgr"].flatMap((service) => ["--cap", service, "allow *"]);
      await this.#run("ceph-authtool", keyring, "--gen-key", "-n", name, ...caps);
    }
    const map = join(folder, "monmap");
    const address = `[v2:127.0.0.1:${monitor}]`;
    await this.#run(
      "monmaptool",
      "--create",
      "--clobber",
      "--fsid",
      fsid,
      "--addv",
      "a",
      address,
      "--enable-all-features",
      "--set-min-mon-release",
      "pacific",
      map,
    );
    await this.#ceph("ceph-mon", "--mkfs", "-i", "a", "--monmap", map, "--keyring", keyring);
    this.#daemon("ceph-mon", "-i", "a");
    const osd = randomUUID();
    await this.#until("the monitor", () =>
      this.#ceph("ceph", "--connect-timeout", "20", "osd", "new", osd, "0"),
    );
    await this.#ceph("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd);
    this.#daemon("ceph-osd", "-i", "0");
    await this.#until("the OSD", async () => {
      const { stdout } = await this.#ceph("ceph", "--connect-timeout", "20", "osd", "stat");
      if (!stdout.includes("1 up")) throw new Error(stdout);
    });
    this.#daemon("radosgw", "-n", "client.rgw");
    this.endpoint = `http://127.0.0.1:${gateway}`;
    await this.#until("radosgw", () => fetch(this.endpoint, { signal: AbortSignal.timeout(5000) }));
    const { accessKeyId, secretAccessKey } = credentials;
    await this.#ceph(
      "radosgw-admin",
      "-n",
      "client.rgw",
      "user",
      "create",
      "--uid=partd",
      "--display-name=partd",
      `--access-key=${accessKeyId}`,
      `--secret-key=${secretAccessKey}`,
    );
  }

  stop() {
    process.removeListener("exit", this.#stop);
    for (const child of this.#children) child.kill("SIGKILL");
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  lastLines() {
    return ["mon.a", "osd.0", "client.rgw", "out"]
      .map((name) => {
        try {
          return readFileSync(join(this.#folder, `${name}.log`), "utf8")
            .split("\n")
            .slice(-8)
            .join("\n");
        } catch {
          return "";
        }
      })
      .join("\n");
  }

  #ceph(program, ...args) {
    return this.#run(program, "-c", this.#config, ...args);
  }

  #run(program, ...args) {
    const timeout = Math.max(1000, this.#deadline - Date.now());
    const env = { ...process.env, CEPH_CONF: this.#config };
    return promisify(execFile)(program, args, { timeout, killSignal: "SIGKILL", env });
  }

  /** Ended by the kernel, too, should this process be killed. */
  #daemon(program, ...args) {
    const whole = ["--pdeathsig", "KILL", program, "-c", this.#config, ...args, "--foreground"];
    const child = spawn("setpriv", whole, { stdio: "ignore" });
    child.on("error", () => {}); // Seen by what waits for it.
    child.unref();
    this.#children.push(child);
  }

  async #until(what, attempt) {
    for (;;) {
      try {
        await attempt();
        return;
      } catch (error) {
        if (Date.now() > this.#deadline) throw new Error(`${what} is not up: ${error.message}`);
        if (this.#children.some(({ exitCode }) => exitCode !== null)) {
          throw new Error(`${what}: a daemon has ended: ${error.message}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    }
  }
}

function configuration(folder, fsid, monitor, gateway) {
  return `[global]
fsid = ${fsid}
mon host = [v2:127.0.0.1:${monitor}/0]
keyring = ${folder}/keyring
ms bind ipv4 = true
ms bind ipv6 = false
public addr = 127.0.0.1
cluster addr = 127.0.0.1
osd pool default size = 1
osd pool default min size = 1
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
osd pool default pg num = 8
osd pool default pgp num = 8
mon max pg per osd = 1000
run dir = ${folder}
admin socket = ${folder}/$name.asok
log file = ${folder}/$name.log
mon cluster log file = ${folder}/cluster.log
[mon.a]
mon data = ${folder}/mon
mon data avail crit = 1
mon data avail warn = 2
[osd.0]
osd data = ${folder}/osd
osd objectstore = memstore
memstore device bytes = 8589934592
osd memory target = 939524096
[client.rgw]
rgw data = ${folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:${gateway} tcp_nodelay=1
rgw enable usage log = false
rgw gc obj min wait = 1
rgw gc processor period = 5
rgw thread pool size = 64
`;
}

async function freePorts(count) {
  const servers = [];
  for (let i = 0; i < count; i++) {
    const server = createServer();
    await new Promise((resolve, reject) => {
      server.once("error", reject).listen(0, "127.0.0.1", resolve);
    });
    servers.push(server);
  }
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
