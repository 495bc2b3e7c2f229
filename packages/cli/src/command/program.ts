import { CommanderError, Command as Parser, Option as ParserOption } from "commander";
import { EMPTY_NAME, fieldNamed } from "../records/names.js";
import { type Command, type Option, Options, termOf } from "./command.js";
import { UsageError } from "./failure.js";
import { helpOf, overview } from "./help.js";

/** What a command line asks for. */
export interface Invocation {
  readonly command: Command;
  readonly arguments: readonly string[];
  readonly options: Options;
}

/**
 * Parses a command line. Help and versions are printed here, and return no invocation.
 *
 * @throws `UsageError` for what the commands do not take, with the nearest known name.
 */
export async function parse(
  words: readonly string[],
  commands: readonly Command[],
  version: string,
): Promise<Invocation | undefined> {
  let invocation: Invocation | undefined;
  let fault = "";
  const quiet = {
    writeOut: (text: string) => void process.stdout.write(text),
    writeErr: (text: string) => {
      fault += text;
    },
  };
  const program = new Parser("partd")
    .version(version, "-V, --version", "print the version")
    .helpCommand(false)
    .configureOutput(quiet)
    .configureHelp({ formatHelp: () => overview(commands) })
    .exitOverride();
  const [first, command] = words;
  if (first === "help" && command !== undefined && !commands.some(({ name }) => name === command)) {
    return parse(words.slice(1), commands, version); // It refuses the unknown command.
  }
  refuseMangled(words);
  const asked = inOptions(words);
  for (const command of commands) {
    const parser = program
      .command(command.name)
      .configureHelp({ formatHelp: () => helpOf(command) })
      .configureOutput(quiet)
      .exitOverride()
      .allowExcessArguments(false);
    if (command.name !== asked[0]) continue; // Describing the options of all commands takes milliseconds.
    for (const argument of command.arguments) parser.argument(termOf(argument), argument.about);
    for (const option of command.options) parser.addOption(parserOption(option));
    parser.action(() => {
      invocation = {
        command,
        arguments: parser.processedArgs.flat().filter((word) => word !== undefined),
        options: optionsOf(command, parser),
      };
    });
  }
  try {
    await program.parseAsync(asked, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return undefined;
    throw new UsageError(complaint(fault, words, commands));
  }
  return invocation;
}

/** @throws `UsageError` for a word that has lost bytes on its way to Node. */
function refuseMangled(words: readonly string[]): void {
  const mangled = words.find((word) => word.includes("\ufffd"));
  if (mangled === undefined) return;
  throw new UsageError(
    `${mangled}: a name that is not UTF-8 does not reach Node whole; rename the file, or give it as standard input: < FILE`,
  );
}

/** As in git and npm, `partd help sort` is `partd sort --help`; `partd version` is `partd --version`. */
function inOptions(words: readonly string[]): readonly string[] {
  const [first, ...rest] = words;
  if (first === "help") return [...rest, "--help"];
  return first === "version" ? ["--version"] : words;
}

function parserOption(option: Option): ParserOption {
  const { name, short, value, list, parse, choices, aliases, completes } = option;
  const flags = `${short ? `-${short}, ` : ""}--${name}${value ? ` <${value}>` : ""}`;
  return new ParserOption(flags, option.about).argParser((given: string, before: unknown) => {
    const text = aliases?.[given.toLowerCase()] ?? given;
    if (text === "" && (completes === "file" || completes === "directory")) {
      throw new UsageError(`--${name} is empty: it takes a ${completes}`);
    }
    if (choices && !choices.includes(text)) {
      throw new UsageError(`--${name} takes ${oneOf(choices)}, not ${JSON.stringify(text)}`);
    }
    try {
      if (list) return [...((before as string[]) ?? []), ...splitList(text, value)];
      return parse ? parse(text) : text;
    } catch (error) {
      if (error instanceof UsageError) throw new UsageError(`--${name} ${error.message}`);
      throw error;
    }
  });
}

function optionsOf(command: Command, parser: Parser): Options {
  const values = new Map<string, unknown>();
  for (const { name, none } of command.options) {
    const [, negated] = /^no-(.*)/.exec(name) ?? [];
    // Of --no-header, commander says that there is no header.
    const value = negated
      ? parser.getOptionValue(camelCase(negated)) === false || undefined
      : parser.getOptionValue(camelCase(name));
    if (value !== undefined && value !== none) values.set(name, value);
  }
  return new Options(values);
}

/** The parts between commas; `\,` is a comma within one. */
function splitList(text: string, value: string | undefined): string[] {
  const parts = text.split(/(?<!\\),/).map((part) => part.replaceAll("\\,", ","));
  if (parts.includes("")) {
    const hint = `; a column of CSV without a name goes by its number, such as 2, and a name of JSON that is empty by '${EMPTY_NAME}'`;
    throw new UsageError(
      `has an empty ${value} in ${JSON.stringify(text)}${value === "FIELD" ? hint : ""}`,
    );
  }
  return value === "FIELD" ? parts.map(fieldNamed) : parts;
}

function oneOf(choices: readonly string[]): string {
  return choices.length < 2
    ? choices.join("")
    : `${choices.slice(0, -1).join(", ")} or ${choices.at(-1)}`;
}

/** What is wrong, from the parser's message; what to write instead, if the commands know that. */
function complaint(fault: string, words: readonly string[], commands: readonly Command[]): string {
  const command = commands.find(({ name }) => name === words[0]);
  const text = fault
    .trim()
    .replace(/^error: /, "")
    .replace(/\n\(Did you mean one of (.*)\?\)/, "; did you mean $1?")
    .replace(/\n\(Did you mean (.*)\?\)/, "; did you mean $1?");
  const [, word = ""] = /^unknown command '(.*?)'/.exec(text) ?? [];
  const meant = commands.find(({ elsewhere }) => elsewhere?.includes(word));
  if (meant !== undefined) return `unknown command '${word}'; did you mean ${meant.name}?`;
  const [, dashes = "", flag = ""] = /^unknown option '(--?)([^'=]+)/.exec(text) ?? [];
  const unknown = dashes === "-" ? flag.slice(0, 1) : flag; // -nr is -n and -r.
  const instead = command?.instead?.[unknown];
  if (instead !== undefined) return `partd ${command?.name} has no ${dashes}${unknown}: ${instead}`;
  const after = commands.find(({ name }) => words.includes(name));
  if (
    command === undefined &&
    dashes &&
    after?.options.some(({ name, short }) => unknown === name || unknown === short)
  ) {
    return `${dashes}${unknown} goes after the command: partd ${after.name} ${dashes}${unknown} …`;
  }
  return `${text}\n       See partd ${command ? `${command.name} ` : ""}--help.`;
}

function camelCase(name: string): string {
  return name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}
