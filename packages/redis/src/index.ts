export type { RedisClientLike, RedisClusterLike } from "./connection/connection.js";
export { RedisStore, type RedisStoreOptions } from "./redis-store.js";
