import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { fileURLToPath } from "node:url";
import { Client } from "@partd/server";
import { createClient } from "@redis/client";
import WebSocket from "ws";
import { type NodeSide, python, type Side, type Suite } from "../../run/suite.js";
import { counted, sized } from "../quick.js";
import { batchOf, bytesOf, keysOf } from "../workload.js";
import { startRedis, startServer } from "./process.js";

const MIB = 2 ** 20;
const BATCHES = sized(300, 100);
const KEYS = 1_000;
const GETS = sized(20, 10);
const LARGE = sized(512, 128);
const SINGLES = sized(5_000, 2_000);
/** Bytes that are read by one get of all keys. */
const READ = BATCHES * 100e3;
const keys = keysOf(KEYS);
const small = bytesOf(100);
const large = bytesOf(MIB);

export const server: Suite = {
  name: "server",
  works: [
    {
      title: `${BATCHES} batches x 1,000 keys x 100 B appended by one client, over a socket file`,
      unit: "key-writes",
      count: BATCHES * KEYS,
      rounds: 9,
      warmups: 4,
      sides: {
        Client: withClient((client) => {
          const batch = batchOf(keys, small);
          return () => together(BATCHES, () => client.append(batch));
        }),
        "Python Client": ofPython("append_batches", { batches: BATCHES, keys: KEYS, size: 100 }),
        Redis: withRedis(async (redis) => {
          for (let i = 0; i < BATCHES; i++) await Promise.all(keys.map((key) => redis(key)));
        }),
      },
      targets: [
        { against: "Python Client", ratio: 8 },
        { against: "Redis", ratio: 6 },
      ],
    },
    {
      title: `${LARGE} appends of 1 MiB, over a socket file (bare ws as it comes, which masks; unmasked, the limit)`,
      unit: "MiB",
      count: LARGE,
      rounds: 9,
      warmups: 4,
      sides: {
        Client: withClient(
          (client) => () =>
            together(LARGE, (i) => client.append([[keys[i % 64] as string, large]])),
        ),
        "Python Client": ofPython("append_large", { count: LARGE, keys: 64, size: MIB }),
        "bare ws, masked": bareWebSocket(true),
        "bare ws, unmasked": bareWebSocket(false),
      },
      targets: [
        { against: "Python Client", ratio: 1.3 },
        { against: "bare ws, unmasked", ratio: 0.8 },
      ],
    },
    {
      title: `${counted(SINGLES)} single-key appends of 100 B in flight together`,
      unit: "appends",
      count: SINGLES,
      rounds: 9,
      warmups: 4,
      sides: {
        Client: withClient(
          (client) => () =>
            together(SINGLES, (i) => client.append([[keys[i % KEYS] as string, small]])),
        ),
        "Python Client": ofPython("append_singles", { count: SINGLES, keys: KEYS, size: 100 }),
      },
      targets: [{ against: "Python Client", ratio: 10 }],
    },
    {
      title: `${GETS} gets in a row of all ${READ / 1e6} MB in 1,000 keys (bare ws: as many messages of 1 MB)`,
      unit: "MB",
      count: (GETS * READ) / 1e6,
      warmups: 2,
      sides: {
        Client: withClient(async (client) => {
          const batch = batchOf(keys, small);
          await together(BATCHES, () => client.append(batch));
          return async () => {
            for (let i = 0; i < GETS; i++) await client.get(keys);
          };
        }),
        "Python Client": ofPython("get_all", {
          batches: BATCHES,
          keys: KEYS,
          size: 100,
          gets: GETS,
        }),
        "bare ws": webSocketThatReads(),
      },
      targets: [
        { against: "Python Client", ratio: 4 },
        { against: "bare ws", ratio: 0.5 },
      ],
    },
    {
      title: `4 client processes at once, ${BATCHES} batches x 1,000 keys x 100 B each`,
      unit: "key-writes",
      count: 4 * BATCHES * KEYS,
      sides: { "4 Clients": clients(4), "1 Client": clients(1, 4 * BATCHES) },
      targets: [{ against: "1 Client", ratio: 1.3, orBusy: 0.95 }],
    },
  ],
};

function withClient(
  prepare: (client: Client) => (() => Promise<unknown>) | Promise<() => Promise<unknown>>,
): NodeSide {
  return async () => {
    const served = await startServer("partd");
    const client = new Client(served.address);
    await client.drop(); // Also: connected.
    const run = await prepare(client);
    return { run, done: () => client.close() };
  };
}

/** Commands that are awaited together go over the wire together. */
function withRedis(run: (append: (key: string) => Promise<unknown>) => Promise<unknown>): Side {
  return async () => {
    const served = await startRedis();
    // Its default timeout makes an AbortSignal for each command.
    const client = createClient({
      socket: { path: served.address, tls: false },
      commandOptions: { timeout: 0 },
    });
    await client.connect();
    await client.flushAll();
    const value = Buffer.from(small);
    return {
      run: () => run((key) => client.append(key, value)),
      done: () => client.close(),
    };
  };
}

/** Messages of 1 MiB that are answered with a byte: the limit of what is built on ws. */
function bareWebSocket(masked: boolean): NodeSide {
  return async () => {
    const served = await startServer("ws");
    const socket = new WebSocket("ws://localhost/", {
      perMessageDeflate: false,
      createConnection: () => connect(served.address),
      ...(masked ? {} : { generateMask: (mask: Buffer) => void mask.fill(0) }),
    });
    await once(socket, "open");
    return {
      async run() {
        let answers = 0;
        const all = new Promise<void>((resolve) => {
          socket.on("message", () => ++answers === LARGE && resolve());
        });
        for (let i = 0; i < LARGE; i++) socket.send(large);
        await all;
      },
      async done() {
        socket.terminate();
      },
    };
  };
}

/** Asks for all bytes, message by message, as often as the others get them. */
function webSocketThatReads(): NodeSide {
  return async () => {
    const served = await startServer("ws source");
    const socket = new WebSocket("ws://localhost/", {
      perMessageDeflate: false,
      createConnection: () => connect(served.address),
    });
    await once(socket, "open");
    return {
      async run() {
        for (let i = 0; i < GETS; i++) {
          let bytes = 0;
          await new Promise<void>((resolve) => {
            socket.on("message", (message: Buffer) => {
              bytes += message.byteLength;
              if (bytes === READ) resolve();
            });
            socket.send(String(READ));
          });
          socket.removeAllListeners("message");
        }
      },
      async done() {
        socket.terminate();
      },
    };
  };
}

/** So many processes, each with its share of the batches, or with so many. */
function clients(count: number, batches = BATCHES): NodeSide {
  return async () => {
    const served = await startServer("partd");
    const client = new Client(served.address);
    await client.drop();
    await client.close();
    const program = fileURLToPath(new URL("./client.js", import.meta.url));
    const children = Array.from({ length: count }, () =>
      fork(program, [served.address, String(batches)]),
    );
    await Promise.all(children.map((child) => once(child, "message")));
    return {
      run: () => Promise.all(children.map(finished)),
      async done() {
        await Promise.all(children.map((child) => child.exitCode ?? once(child, "exit")));
      },
    };
  };
}

async function finished(child: ChildProcess): Promise<void> {
  const done = once(child, "message");
  child.send("go");
  await done;
}

function together(count: number, call: (i: number) => Promise<unknown>): Promise<unknown> {
  return Promise.all(Array.from({ length: count }, (_, i) => call(i)));
}

function ofPython(work: string, args: Readonly<Record<string, unknown>>): Side {
  return python("server", work, args);
}
