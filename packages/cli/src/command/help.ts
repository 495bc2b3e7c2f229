import { type Command, flagsOf, type Option, termOf } from "./command.js";
import { EXIT_CODES } from "./failure.js";

/** `partd --help`: all commands, by kind. */
export function overview(commands: readonly Command[]): string {
  const lines = [
    "partd: split, group, count, join, sort and deduplicate files larger than memory.",
    "",
    "Examples:",
    ...["split", "group", "sort", "ls"].flatMap((name) => {
      const example = commands.find((command) => command.name === name)?.examples[0];
      return example ? [`  ${example.line}`] : [];
    }),
    "",
    "Commands:",
    ...columns(commands.map(({ name, summary }) => [name, summary])),
    "",
    "partd COMMAND --help shows its examples and options.",
    "",
    "A data set is a directory, or a server, that holds keys with their bytes; append makes one.",
    "",
    "Exit codes:",
    ...columns(EXIT_CODES.map(([code, meaning]) => [String(code), meaning])),
    "",
  ];
  return lines.join("\n");
}

/** `partd COMMAND --help`: examples first. */
export function helpOf(command: Command): string {
  const { examples, options } = command;
  const lines = [
    `${command.summary}.`,
    "",
    "Examples:",
    ...examples.flatMap(({ line, does }) => [`  # ${does}`, `  ${line}`]),
    "",
    `Usage: ${usageOf(command)}`,
    "",
    ...command.about.flatMap((paragraph) => [...wrap(paragraph, WIDTH), ""]),
    ...(command.arguments.length > 0 ? ["Arguments:"] : []),
    ...columns(command.arguments.map((argument) => [argument.name.toUpperCase(), argument.about])),
    ...(command.arguments.length > 0 ? [""] : []),
    "Options:",
    ...columns([...options, HELP].map((option) => [flagsOf(option), aboutOf(option)])),
    "",
  ];
  return lines.join("\n");
}

export function usageOf(command: Command): string {
  const words = command.arguments.map((argument) =>
    termOf({ ...argument, name: argument.name.toUpperCase() }),
  );
  return ["partd", command.name, ...words, "[options]"].join(" ");
}

/** What an option does, and the values that it takes. */
export function aboutOf({ about, choices }: Option): string {
  return choices ? `${about}: ${choices.join(", ")}` : about;
}

export const HELP: Option = { name: "help", short: "h", about: "print this" };

/** Lines of at most `width` characters. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return line === "" ? lines : [...lines, line];
}

function columns(rows: readonly (readonly [string, string])[]): string[] {
  const first = Math.min(26, Math.max(...rows.map(([term]) => term.length)));
  return rows.flatMap(([term, text]) => {
    const lines = wrap(text, WIDTH - first - 4);
    const indent = " ".repeat(first + 4);
    if (term.length > first) return [`  ${term}`, ...lines.map((line) => indent + line)];
    return lines.map((line, i) => (i === 0 ? `  ${term.padEnd(first)}  ${line}` : indent + line));
  });
}

/** The columns of the screen, from 40 to 88; 88 if it is not a screen. */
const WIDTH = Math.min(88, Math.max(40, process.stdout.columns || 88));
