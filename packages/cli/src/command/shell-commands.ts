import type { Command } from "./command.js";
import { COMMON } from "./common-options.js";
import { parseMemory } from "./quantity.js";

/** Commands about the machine and the shell. */
export const shellCommands: readonly Command[] = [
  {
    name: "doctor",
    summary: "Say what this machine has and what a run would need",
    about: [
      "Versions, memory, free space, limits of open files; with inputs also how much they hold and what a split or sort of them would take.",
    ],
    examples: [
      { line: "partd doctor", does: "what this machine has" },
      {
        line: "partd doctor 'logs/*.ndjson.gz'",
        does: "and what a run with these files would need",
      },
      { line: "partd doctor --json", does: "the same for a program, or to put into a bug report" },
    ],
    arguments: [{ name: "input", variadic: true, completes: "file", about: "files or globs" }],
    options: [
      { name: "tmp", value: "DIR", completes: "directory", about: "where temporary data would go" },
      { name: "memory", value: "SIZE", parse: parseMemory, about: "what a run may take" },
      ...COMMON,
    ],
    load: async () => (await import("../machine/doctor.js")).doctor,
  },
  {
    name: "completion",
    summary: "Print completions for a shell",
    about: ["The script holds all that there is to complete: nothing is run when you press Tab."],
    examples: [
      {
        line: "source <(partd completion bash)",
        does: "in this bash; put it into ~/.bashrc to keep it",
      },
      { line: "partd completion zsh > ~/.zfunc/_partd", does: "zsh: a folder of your fpath" },
      { line: "partd completion fish > ~/.config/fish/completions/partd.fish", does: "fish" },
    ],
    arguments: [
      {
        name: "shell",
        required: true,
        completes: ["bash", "zsh", "fish"],
        about: "bash, zsh or fish",
      },
    ],
    options: COMMON,
    load: async () => (await import("../shell/completion.js")).completion,
  },
  {
    name: "man",
    summary: "Print the manual page",
    about: ["It is made from the same text as --help. An installation with npm -g brings it, too."],
    examples: [
      { line: "partd man | man -l -", does: "read it" },
      { line: "partd man > partd.1", does: "keep it" },
      { line: "man partd", does: "after npm install -g @partd/cli" },
    ],
    arguments: [],
    options: COMMON,
    load: async () => (await import("../shell/man.js")).man,
  },
];
