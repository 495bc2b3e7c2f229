import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "@jest/globals";

const root = new URL("../../../", import.meta.url);
const REPOSITORY = "https://github.com/partd/partd-ts/tree/main/";

test("every link into the repository leads to a file, and to a heading of it", () => {
  const broken = documents().flatMap((document) =>
    linksOf(readFileSync(document, "utf8"))
      .map((link) => link.replace(REPOSITORY, root.href))
      .filter((link) => !leadsSomewhere(new URL(link, document)))
      .map((link) => `${document.href.slice(root.href.length)}: ${link}`),
  );
  expect(broken).toEqual([]);
});

function documents(): URL[] {
  const folders = ["packages/", "examples/"].flatMap((parent) =>
    readdirSync(new URL(parent, root)).map((name) => `${parent}${name}/`),
  );
  return ["", ".changeset/", "docs/", ...folders]
    .map((folder) => new URL(folder, root))
    .filter((folder) => existsSync(folder))
    .flatMap((folder) =>
      readdirSync(folder)
        .filter((name) => name.endsWith(".md"))
        .map((name) => new URL(name, folder)),
    );
}

/** The targets of `[text](target)` outside of code. */
function linksOf(markdown: string): string[] {
  const prose = markdown.replace(/^```[\s\S]*?^```/gm, "").replace(/`[^`\n]*`/g, "code");
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target as string);
}

function leadsSomewhere(target: URL): boolean {
  if (target.protocol !== "file:") return true; // Tests do not ask the network.
  const anchor = target.hash.slice(1);
  const path = fileURLToPath(target);
  if (!existsSync(path)) return false;
  if (anchor === "" || !path.endsWith(".md")) return true;
  const headings = readFileSync(path, "utf8").match(/^#+ .*$/gm) ?? [];
  return headings.some((heading) => slugOf(heading) === anchor);
}

/** As GitHub names a heading. */
function slugOf(heading: string): string {
  const text = heading.replace(/^#+ /, "").toLowerCase();
  return text.replace(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-");
}
