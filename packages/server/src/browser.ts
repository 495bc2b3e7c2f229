/** All that runs in a browser: `@partd/server/client`. */
export { Client, type ClientOptions } from "./client.js";
export { ClientEvent, type ClientEvents } from "./client-event.js";
export type { Connect, Socket, SocketEvents } from "./socket.js";
