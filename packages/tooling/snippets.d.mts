/**
 * Declares one test for every ```ts block of a Markdown file: the block runs as a program
 * of its own, and what its comments promise is checked (see CONTRIBUTING.md, "Snippets").
 */
export declare function testSnippets(file: URL): void;

export interface Snippet {
  /** The line of the file on which the block's code begins, from 1. */
  readonly line: number;
  readonly code: string;
  readonly run: boolean;
}

/** The ```ts blocks of a Markdown text; a block marked `continue` contains its forerunner. */
export declare function snippets(markdown: string): Snippet[];

/** JavaScript for Node 20, with the comments `// → value` turned into assertions. */
export declare function compileSnippet(code: string): string;
