export type { ListenerOptions } from "./client/client.js";
export { Client, type ClientOptions } from "./client/node-client.js";
export type { ClientTls } from "./client/node-socket.js";
export { ClientEvent, type ClientEvents } from "./client/reconnector.js";
export type { Connect, Socket, SocketEvents } from "./client/socket.js";
export type { KeyStats } from "./server/census.js";
export type { ServerLimits } from "./server/limits.js";
export { Server, type ServerOptions } from "./server/server.js";
export type { ServerStats } from "./server/stats.js";
