export { ClientEvent, type ClientEvents } from "./client-event.js";
export type { ServerLimits } from "./limits.js";
export { Client, type ClientOptions } from "./node-client.js";
export { Server, type ServerOptions } from "./server.js";
export type { Connect, Socket, SocketEvents } from "./socket.js";
export type { KeyStats, ServerStats } from "./stats.js";
export type { ClientTls } from "./ws-socket.js";
