import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { BufferStore } from "@partd/buffer";
import { Json } from "@partd/codec-json";
import { Dict } from "@partd/core";
import { splitFrames } from "@partd/core/author";
import { FileStore } from "@partd/file";
import { compressions } from "./compressions.js";

test.each(compressions)(
  "$name under a buffer: small appends become one frame, and are read without the buffer",
  async ({ Decorator }) => {
    const folder = await mkdtemp(join(tmpdir(), "partd-buffer-"));
    try {
      const files = () => new Decorator(new FileStore(join(folder, "data")));
      const p = new Json(new BufferStore(new Dict(), files()));
      const items = Array.from({ length: 300 }, (_, i) => ({ number: i, name: `item ${i}` }));
      for (const item of items) await p.append({ x: [item] });
      expect(await p.get("x")).toEqual(items);
      await p.close();
      const bytes = new Uint8Array(await readFile(join(folder, "data", "x")));
      expect(splitFrames(bytes, "x").length).toBe(1);
      const again = new Json(files());
      expect(await again.get("x")).toEqual(items);
      await again.close();
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
);
