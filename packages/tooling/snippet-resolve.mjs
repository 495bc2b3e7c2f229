import { register } from "node:module";

register("./snippet-hooks.mjs", import.meta.url);
