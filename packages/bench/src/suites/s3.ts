import {
  CreateBucketCommand,
  GetObjectCommand,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { S3Store } from "@partd/s3";
import { awsClient } from "@partd/s3/aws";
import { startRadosgw } from "tooling/radosgw";
import type { NodeSide, Suite } from "../run/suite.js";
import { sized } from "./quick.js";
import { bytesOf, keysOf } from "./workload.js";

const MIB = 2 ** 20;
const SEGMENTS = 4;
/** Objects written in a round, after {@link SEGMENTS} that open connections and give the store its memory. */
const WRITTEN = 12;
const SEGMENT = sized(64, 8) * MIB;
/** Keys of a segment, each of 1 MiB. */
const KEYS = keysOf(SEGMENT / MIB).sort(); // As they lie in a segment.
const READERS = 4;
/** Objects that are read: each reader needs a GET for each of them, and one for their index. */
const STORED = 8;
const BUCKET = "bench";

/** Over a real server (Ceph's radosgw, in memory), to a loop over the same client without a store. */
export const s3: Suite = {
  name: "s3",
  async start() {
    const server = await startRadosgw();
    process.env["PARTD_S3_ENDPOINT"] = server.endpoint;
    await sdk().send(new CreateBucketCommand({ Bucket: BUCKET }));
    return server;
  },
  works: [
    {
      title: `${WRITTEN} objects of ${SEGMENT / MIB} MiB written, ${SEGMENTS} at once`,
      unit: "MiB",
      count: (WRITTEN * SEGMENT) / MIB,
      rounds: 3,
      sides: {
        S3Store: appendSegments("WHEN_REQUIRED"),
        "bare PUTs": putObjects("WHEN_REQUIRED"),
        "S3Store, checksums of the SDK besides": appendSegments("WHEN_SUPPORTED"),
        "bare PUTs, checksums of the SDK": putObjects("WHEN_SUPPORTED"),
      },
      targets: [{ against: "bare PUTs", ratio: 0.9 }],
    },
    {
      title: `${STORED} objects of ${SEGMENT / MIB} MiB read by ${READERS} readers, a quarter of the keys each`,
      unit: "MiB",
      count: (STORED * SEGMENT) / MIB,
      rounds: 3,
      sides: { S3Store: readQuarters(), "bare ranges of 2 MiB": getRanges() },
      targets: [{ against: "bare ranges of 2 MiB", ratio: 0.8 }],
    },
  ],
};

function appendSegments(checksums: Checksums): NodeSide {
  return async () => {
    const store = newStore(prefix(), checksums);
    const batch = batchOf();
    await together(SEGMENTS, () => store.append(batch));
    const before = store.requests;
    let { put, list } = before;
    return {
      async run() {
        await together(WRITTEN, () => store.append(batch));
        ({ put, list } = store.requests);
      },
      figures: () => ({
        PUTs: `${put - before.put} (at most ${(1.1 * WRITTEN).toFixed(1)})`,
        LISTs: String(list - before.list),
      }),
      async done() {
        await store.drop();
        await store.close();
      },
    };
  };
}

function putObjects(checksums: Checksums): NodeSide {
  return async () => {
    const client = sdk(checksums);
    const body = bytesOf(SEGMENT);
    const folder = prefix();
    const names = Array.from({ length: WRITTEN }, (_, i) => `${folder}/${i}`);
    const put = (i: number) =>
      client.send(new PutObjectCommand({ Bucket: BUCKET, Key: names[i], Body: body }));
    await together(SEGMENTS, put);
    return {
      run: () => together(WRITTEN, put),
      figures: () => ({ PUTs: String(WRITTEN), LISTs: "0" }),
      done: () => removeAll(client, names),
    };
  };
}

function readQuarters(): NodeSide {
  return async () => {
    const folder = prefix();
    const writer = newStore(folder);
    for (let i = 0; i < STORED; i++) await writer.append(batchOf());
    await writer.close();
    const readers = Array.from({ length: READERS }, () => newStore(folder));
    let gets = 0;
    return {
      async run() {
        const share = KEYS.length / READERS;
        await Promise.all(
          readers.map((reader, i) => reader.get(KEYS.slice(i * share, (i + 1) * share))),
        );
        gets = readers.reduce((sum, { requests }) => sum + requests.get, 0);
      },
      figures: () => ({
        GETs: `${gets} (at most ${(1.2 * STORED * READERS).toFixed(1)}), ${READERS} of them for the index`,
      }),
      async done() {
        await readers[0]?.drop();
        await Promise.all(readers.map((reader) => reader.close()));
      },
    };
  };
}

function getRanges(): NodeSide {
  return async () => {
    const client = sdk();
    const folder = prefix();
    const names = Array.from({ length: STORED }, (_, i) => `${folder}/${i}`);
    const body = bytesOf(SEGMENT);
    for (const Key of names) {
      await client.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body: body }));
    }
    const ranges = names.flatMap((Key) =>
      Array.from({ length: SEGMENT / (2 * MIB) }, (_, i) => ({
        Key,
        Range: `bytes=${i * 2 * MIB}-${(i + 1) * 2 * MIB - 1}`,
      })),
    );
    return {
      async run() {
        let next = 0;
        const reader = async () => {
          for (let range = ranges[next++]; range; range = ranges[next++]) {
            const { Body } = await client.send(new GetObjectCommand({ Bucket: BUCKET, ...range }));
            await Body?.transformToByteArray();
          }
        };
        await Promise.all(Array.from({ length: 4 * READERS }, reader));
      },
      figures: () => ({ GETs: String(ranges.length) }),
      done: () => removeAll(client, names),
    };
  };
}

/** When the SDK computes checksums of its own: its default is whenever a request supports one. */
type Checksums = "WHEN_REQUIRED" | "WHEN_SUPPORTED";

function sdk(checksums: Checksums = "WHEN_REQUIRED"): S3Client {
  const endpoint = process.env["PARTD_S3_ENDPOINT"] as string;
  const credentials = { accessKeyId: "partd", secretAccessKey: "partd-secret" };
  return new S3Client({
    endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    credentials,
    requestChecksumCalculation: checksums,
    responseChecksumValidation: checksums,
  });
}

function newStore(folder: string, checksums?: Checksums): S3Store {
  return new S3Store({
    client: awsClient(sdk(checksums)),
    bucket: BUCKET,
    prefix: folder,
    segmentBytes: SEGMENT,
    fresh: false,
  });
}

function prefix(): string {
  return `bench-${crypto.randomUUID()}`;
}

function batchOf(): [string, Uint8Array][] {
  const value = bytesOf(MIB);
  return KEYS.map((key) => [key, value]);
}

async function removeAll(client: S3Client, keys: readonly string[]): Promise<void> {
  await awsClient(client).delete({ bucket: BUCKET, keys, signal: new AbortController().signal });
}

/** Makes `count` objects, a few at a time. */
async function together(count: number, make: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < count) await make(next++);
  };
  await Promise.all(Array.from({ length: SEGMENTS }, lane));
}
