/** The parts that run in a browser: `@partd/server/client`. */
export { Client, type ClientOptions, type ListenerOptions } from "./client/client.js";
export { ClientEvent, type ClientEvents } from "./client/reconnector.js";
export type { Connect, Socket, SocketEvents } from "./client/socket.js";
