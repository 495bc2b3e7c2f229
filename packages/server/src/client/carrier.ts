import { connect, type NetConnectOpts, type Socket } from "node:net";
import { allocateBytes } from "@partd/core/author";
import { FrameReader } from "./frame-reader.js";

/**
 * What is read lies in blocks of this length. An answer that the caller keeps may keep one alive.
 * With blocks of 1 MiB a `get` of 30 MB takes a tenth less.
 */
const LONGEST_BLOCK = 262_144;
/** Small at first: a process may have thousands of clients. */
const FIRST_BLOCK = 4_096;

/**
 * A network socket that reads into large blocks, one read behind the other, so that what came in
 * several reads is mostly one view. Node alone would take fresh memory of 64 KiB for each.
 */
export function connectCarrier(target: NetConnectOpts): Socket {
  // Deno does not implement it, and Bun has a WebSocket of its own.
  if ("Deno" in globalThis || "Bun" in globalThis) return connect(target);
  let length = FIRST_BLOCK;
  let room = allocateBytes(length);
  const socket: Socket = connect({
    ...target,
    onread: {
      buffer: () => {
        if (room.byteLength < length / 4) room = allocateBytes(length);
        return room;
      },
      callback: (byteLength, { buffer, byteOffset }) => {
        // More would have come at once.
        if (byteLength === room.byteLength) length = Math.min(LONGEST_BLOCK, 4 * length);
        room = room.subarray(byteLength);
        return socket.push(Buffer.from(buffer, byteOffset, byteLength));
      },
    },
  });
  return socket;
}

/**
 * Calls `message` with each binary message of a WebSocket that has just opened, past `ws`: see
 * {@link FrameReader}. What `ws` receives itself is its own event.
 *
 * @param carrier the network socket below, on which `ws` has begun to listen.
 * @param most the longest message, in bytes.
 */
export function takeMessages(
  carrier: Socket,
  most: number,
  message: (parts: readonly Uint8Array[]) => void,
): void {
  const listeners = carrier.listeners("data") as ((chunk: Buffer) => void)[];
  const [receive] = listeners;
  if (!receive || listeners.length > 1) return; // A `ws` that works in another way receives all.
  const control = ({ buffer, byteOffset, byteLength }: Uint8Array) => {
    receive.call(carrier, Buffer.from(buffer, byteOffset, byteLength));
  };
  const reader = new FrameReader({ message, control }, most);
  const take = (chunk: Buffer) => {
    const foreign = reader.read(chunk);
    if (!foreign) return;
    carrier.off("data", take);
    carrier.on("data", receive);
    control(foreign);
  };
  carrier.off("data", receive);
  carrier.on("data", take);
}
