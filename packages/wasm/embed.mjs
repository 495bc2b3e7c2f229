// Writes a WebAssembly module as text that a package can import: a file beside the code would have
// to be found, in another way by Node, each bundler and a browser.
import { readFileSync, writeFileSync } from "node:fs";

const [, , from, to] = process.argv;
const bytes = readFileSync(from);
const module = new WebAssembly.Module(bytes);
const imports = WebAssembly.Module.imports(module);
if (imports.length > 0) throw new Error(`${from} imports ${JSON.stringify(imports)}`);
writeFileSync(
  to,
  `// Made by packages/wasm/build.sh. ${bytes.byteLength} bytes of WebAssembly, in base64.
export const WASM: string =
  "${bytes.toString("base64")}";
`,
);
console.log(
  to.split("/").at(-1),
  bytes.byteLength,
  WebAssembly.Module.exports(module)
    .map((e) => e.name)
    .join(" "),
);
