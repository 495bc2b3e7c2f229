/**
 * Declares one test for every ```ts block of a Markdown file: the block runs as a program
 * of its own, and what its comments promise is checked (see CONTRIBUTING.md, "Snippets").
 */
export declare function testSnippets(file: URL): void;
