export { FileStore, type FileStoreOptions } from "./file-store.js";
export { pythonFileName } from "./python-name.js";
