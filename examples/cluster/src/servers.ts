import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { CreateBucketCommand } from "@aws-sdk/client-s3";
import { hasRadosgw, startRadosgw } from "tooling/radosgw";
import { s3Client } from "./store.js";

/** A server of this run. */
export interface RunningServer {
  /** For `openStore`. */
  readonly address: string;
  stop(): void;
}

/** Ceph's S3 server with an empty bucket, and the environment in which the SDK finds its credentials. */
export async function startS3(): Promise<RunningServer | undefined> {
  if (!hasRadosgw()) return undefined;
  const server = await startRadosgw();
  Object.assign(process.env, {
    AWS_ACCESS_KEY_ID: server.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: server.credentials.secretAccessKey,
    AWS_REGION: "us-east-1",
    AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true", // Once a process is too often.
  });
  const address = `${server.endpoint}/flights`;
  await s3Client(address).send(new CreateBucketCommand({ Bucket: "flights" }));
  return { address, stop: () => server.stop() };
}

/** A Redis that keeps everything in memory, on a socket in the folder; nothing if none is installed. */
export async function startRedis(folder: string): Promise<RunningServer | undefined> {
  const path = join(folder, "redis.sock");
  const options = ["--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no"];
  const child = spawn("redis-server", options, {
    cwd: folder,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const stop = () => void child.kill("SIGKILL");
  const begun = await Promise.race([
    isReady(createInterface({ input: child.stdout })),
    once(child, "error").then(() => false),
  ]);
  if (!begun) return undefined;
  process.once("exit", stop);
  return { address: `unix://${path}`, stop };
}

async function isReady(lines: AsyncIterable<string>): Promise<boolean> {
  for await (const line of lines) if (/ready to accept connections/i.test(line)) return true;
  return false;
}
