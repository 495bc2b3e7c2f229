export type {
  DeleteRequest,
  GetRequest,
  ListedObject,
  ListPage,
  ListRequest,
  ObjectClient,
  PutRequest,
} from "./client.js";
export type { SweepOptions } from "./data-set/sweep.js";
export type { RequestCounts } from "./objects/requests.js";
export { S3Store, type S3StoreOptions } from "./s3-store.js";
