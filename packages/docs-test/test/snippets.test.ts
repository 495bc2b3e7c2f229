import { existsSync, readdirSync } from "node:fs";
import { testSnippets } from "tooling/snippets";

const root = new URL("../../../", import.meta.url);

testSnippets(new URL("README.md", root));
testSnippets(new URL("CONTRIBUTING.md", root));
for (const name of readdirSync(new URL("docs/", root)).sort()) {
  if (name.endsWith(".md")) testSnippets(new URL(`docs/${name}`, root));
}
for (const folder of ["packages/", "examples/"]) {
  if (!existsSync(new URL(folder, root))) continue;
  for (const name of readdirSync(new URL(folder, root)).sort()) {
    const readme = new URL(`${folder}${name}/README.md`, root);
    if (existsSync(readme)) testSnippets(readme);
  }
}
