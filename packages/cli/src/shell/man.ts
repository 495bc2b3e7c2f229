import { type Action, type Command, flagsOf } from "../command/command.js";
import { EXIT_CODES } from "../command/failure.js";
import { aboutOf, usageOf } from "../command/help.js";

/** `partd man`. */
export const man: Action = async ({ commands, terminal }) => {
  await terminal.write(manPage(commands));
  return undefined;
};

/** The manual page in the man(7) macros. */
export function manPage(all: readonly Command[]): string {
  return `${[
    ".TH PARTD 1",
    ".SH NAME",
    `partd \\- ${escaped("split, group, count, join, sort and deduplicate files larger than memory")}`,
    ".SH SYNOPSIS",
    ".B partd",
    "COMMAND [ARGUMENTS] [OPTIONS]",
    ".SH COMMANDS",
    ...all.flatMap(section),
    ".SH EXIT STATUS",
    ...EXIT_CODES.flatMap(([code, meaning]) => [".TP", String(code), escaped(meaning)]),
    ".SH ENVIRONMENT",
    ...ENVIRONMENT.flatMap(([name, about]) => [".TP", `.B ${name}`, escaped(about)]),
  ].join("\n")}\n`;
}

function section(command: Command): string[] {
  return [
    `.SS ${escaped(usageOf(command))}`,
    `${escaped(command.summary)}.`,
    ...command.examples.flatMap(({ line, does }) => [
      ".PP",
      `${escaped(does)}:`,
      ".PP",
      ".RS 4",
      ".nf",
      escaped(line),
      ".fi",
      ".RE",
    ]),
    ...command.about.flatMap((paragraph) => [".PP", escaped(paragraph)]),
    ...command.arguments.flatMap(({ name, about }) => [
      ".TP",
      `.I ${escaped(name.toUpperCase())}`,
      escaped(about),
    ]),
    ...command.options.flatMap((option) => [
      ".TP",
      `.B ${escaped(flagsOf(option))}`,
      escaped(aboutOf(option)),
    ]),
  ];
}

function escaped(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(/^(['.])/gm, "\\&$1");
}

const ENVIRONMENT = [
  [
    "PARTD_TOKEN",
    "the token that serve asks clients for, and that the other commands show a server",
  ],
  ["NO_COLOR", "if it is set and not empty, no colours"],
  ["TMPDIR", "where temporary data goes, unless --tmp says otherwise"],
] as const;
