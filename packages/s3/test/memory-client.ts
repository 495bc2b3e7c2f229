import { createHash } from "node:crypto";
import type { ListedObject, ObjectClient } from "@partd/s3";
import { refusal } from "./faulty-client.js";

export interface MemoryBucket {
  readonly client: ObjectClient;
  /** By name. What a test changes, the client sees. */
  readonly objects: Map<string, { readonly body: Uint8Array; readonly modified: number }>;
}

/** A bucket in this process's memory, for tests that look at many damaged ones. */
export function memoryBucket(pageLength = 1000): MemoryBucket {
  const objects: MemoryBucket["objects"] = new Map();
  const client: ObjectClient = {
    async put({ key, body, ifNoneMatch }) {
      if (ifNoneMatch && objects.has(key)) throw refusal(412, "PreconditionFailed");
      objects.set(key, { body: Uint8Array.from(body), modified: Date.now() });
    },
    async get({ key, start, end }) {
      const object = objects.get(key);
      if (!object) throw refusal(404, "NoSuchKey");
      if (start >= object.body.length) throw refusal(416, "InvalidRange");
      return object.body.slice(start, end);
    },
    async list({ prefix, startAfter = "" }) {
      const names = [...objects.keys()].filter((key) => key.startsWith(prefix) && key > startAfter);
      const page = names.sort().slice(0, pageLength);
      return { objects: page.map((key) => listed(key)), more: names.length > page.length };
    },
    async delete({ keys }) {
      for (const key of keys) objects.delete(key);
    },
  };
  const listed = (key: string): ListedObject => {
    const { body, modified } = objects.get(key) as { body: Uint8Array; modified: number };
    const etag = createHash("md5").update(body).digest("hex");
    return { key, size: body.length, etag, modified };
  };
  return { client, objects };
}
