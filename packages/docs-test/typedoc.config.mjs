// `npm run docs`: the API reference of every public package, as a website in docs/api.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const folders = readdirSync("..").filter((name) => existsSync(`../${name}/package.json`));
const packages = folders.filter(
  (name) => !JSON.parse(readFileSync(`../${name}/package.json`, "utf8")).private,
);

/** For the site, and for each package in it. */
const shared = {
  disableGit: true,
  displayBasePath: fileURLToPath(new URL("../..", import.meta.url)),
  gitRevision: "main",
  sourceLinkTemplate: "https://github.com/partd/partd-ts/blob/{gitRevision}/{path}#L{line}",
  // The READMEs link to folders and anchors of GitHub's pages, which are none of this site's.
  validation: { invalidLink: true, invalidPath: false, notExported: false },
};

/** @type {Partial<import("typedoc").TypeDocOptions>} */
export default {
  name: "partd",
  entryPointStrategy: "packages",
  entryPoints: packages.map((name) => `../${name}`),
  out: "../../docs/api",
  readme: "../../README.md",
  includeVersion: true,
  githubPages: false,
  highlightLanguages: ["ts", "sh", "python", "json"],
  packageOptions: {
    excludeInternal: true,
    excludePrivate: true,
    excludeExternals: true,
    skipErrorChecking: true, // Which is the task of `typecheck`.
    ...shared,
  },
  ...shared,
};
