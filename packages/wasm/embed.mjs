// Writes a WebAssembly module as text that a package can import, with the loader that runs it
// (loader.ts). A file beside the code would have to be found in another way by Node, by each
// bundler and by a browser.
import { readFileSync, writeFileSync } from "node:fs";

const [, , from, to, bare] = process.argv; // "bare": without the loader.
const bytes = readFileSync(from);
const loader = bare
  ? ""
  : `\n${readFileSync(new URL("loader.ts", import.meta.url), "utf8").trimEnd()}\n`;
const module = new WebAssembly.Module(bytes);
const imports = WebAssembly.Module.imports(module);
if (imports.length > 0) throw new Error(`${from} imports ${JSON.stringify(imports)}`);
writeFileSync(
  to,
  `// Made by packages/wasm/build.sh. ${bytes.byteLength} bytes of WebAssembly, in base64.
${loader}
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
