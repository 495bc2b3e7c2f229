import type { Terminal } from "../terminal/terminal.js";
import { type Call, type Command, flagsOf, type Option, Options } from "./command.js";
import { UsageError } from "./failure.js";
import { HELP, helpOf, overview } from "./help.js";

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
): Promise<Invocation | undefined> {
  // As in git and npm: `partd help sort`.
  const [name = "", ...rest] = words[0] === "help" ? [...words.slice(1), "--help"] : words;
  const command = commands.find((one) => one.name === name);
  const line = new CommandLine(command, command === undefined ? [name, ...rest] : rest);
  if (line.asksFor !== undefined) {
    const help = command === undefined ? overview(commands) : helpOf(command);
    process.stdout.write(line.asksFor === VERSION ? `${await packageVersion()}\n` : help);
    return undefined;
  }
  if (command === undefined && !name.startsWith("-")) {
    const known = commands.map((one) => one.name);
    throw wrong(undefined, `unknown command '${name}'${await hint(name, known, "")}`);
  }
  if (command === undefined || line.unknown !== undefined) {
    throw await unknownOption(command, line.unknown ?? name);
  }
  checkArguments(command, line.arguments);
  return { command, arguments: line.arguments, options: line.options };
}

export function callOf(
  { arguments: words, options }: Invocation,
  commands: readonly Command[],
  terminal: Terminal,
  signal: AbortSignal,
): Call {
  return { arguments: words, options, commands, terminal, signal };
}

const VERSION: Option = { name: "version", short: "V", about: "print the version" };
/** Options of every command line. */
const ASKS: readonly Option[] = [HELP, VERSION];

/** The words behind the name of a command: `a`, `-o f`, `-of`, `-qf`, `--out f`, `--out=f`, `-- -f`. */
class CommandLine {
  readonly arguments: string[] = [];
  /** Help or the version. */
  asksFor: Option | undefined;
  /** The first option that the command does not have. */
  unknown: string | undefined;
  readonly #command: Command | undefined;
  readonly #values = new Map<string, unknown>();

  constructor(command: Command | undefined, words: readonly string[]) {
    this.#command = command;
    const left = [...words];
    for (let word = left.shift(); word !== undefined; word = left.shift()) {
      if (word !== "--") this.#take(word, left);
      else this.arguments.push(...left.splice(0));
    }
  }

  get options(): Options {
    return new Options(this.#values);
  }

  /** @param left the words behind it: the value is taken from there, and other switches are put back. */
  #take(word: string, left: string[]): void {
    if (word.length < 2 || !word.startsWith("-") || NUMBER.test(word)) {
      this.arguments.push(word);
      return;
    }
    const isLong = word.startsWith("--");
    const equals = isLong ? word.indexOf("=") : -1;
    const flag = isLong ? word.slice(2, equals < 0 ? undefined : equals) : word[1];
    const options = [...(this.#command?.options ?? []), ...ASKS];
    const option = options.find(({ name, short }) => flag === (isLong ? name : short));
    if (option === undefined || (equals >= 0 && !option.value)) this.unknown ??= word;
    else if (equals >= 0) this.#set(option, word.slice(equals + 1));
    else if (!isLong && word.length > 2 && option.value) this.#set(option, word.slice(2));
    else if (option.value) this.#set(option, left.shift() ?? this.#noValue(option));
    else {
      this.#set(option);
      if (!isLong && word.length > 2) left.unshift(`-${word.slice(2)}`);
    }
  }

  #set(option: Option, text?: string): void {
    const { name, none } = option;
    if (ASKS.includes(option)) this.asksFor ??= option;
    const value = text === undefined ? true : valueIn(option, text, this.#values.get(name));
    if (value === none) this.#values.delete(name);
    else this.#values.set(name, value);
  }

  #noValue(option: Option): never {
    throw wrong(this.#command, `option '${flagsOf(option)}' argument missing`);
  }
}

/** Such as a key: no option is a number. */
const NUMBER = /^-(\d+|\d*\.\d+)(e[+-]?\d+)?$/;

/** @param before the value so far of an option that may be given several times. */
function valueIn(option: Option, text: string, before: unknown): unknown {
  const { name, list, parse, choices, completes } = option;
  if (text === "" && (completes === "file" || completes === "directory")) {
    throw new UsageError(`--${name} is empty: it takes a ${completes}`);
  }
  if (choices && !choices.includes(text)) {
    throw new UsageError(`--${name} takes ${oneOf(choices)}, not ${JSON.stringify(text)}`);
  }
  try {
    if (list) return [...((before as string[] | undefined) ?? []), ...splitList(text)];
    return parse ? parse(text) : text;
  } catch (error) {
    if (error instanceof UsageError) throw new UsageError(`--${name} ${error.message}`);
    throw error;
  }
}

/** The parts between commas; `\,` is a comma within one. */
export function splitList(text: string): string[] {
  const parts = text.split(/(?<!\\),/).map((part) => part.replaceAll("\\,", ","));
  if (parts.includes("")) throw new UsageError(`has an empty name in ${JSON.stringify(text)}`);
  return parts;
}

export function oneOf(choices: readonly string[]): string {
  return choices.length < 2
    ? choices.join("")
    : `${choices.slice(0, -1).join(", ")} or ${choices.at(-1)}`;
}

function checkArguments(command: Command, given: readonly string[]): void {
  const { name, arguments: expected } = command;
  const missing = expected.find(({ required }, i) => required && given[i] === undefined);
  if (missing !== undefined) {
    throw wrong(command, `missing required argument '${missing.name}'`);
  }
  const { length } = expected;
  if (given.length <= length || expected.at(-1)?.variadic) return;
  const many = `Expected ${length} argument${length === 1 ? "" : "s"} but got ${given.length}.`;
  throw wrong(command, `too many arguments for '${name}'. ${many}`);
}

async function unknownOption(command: Command | undefined, word: string): Promise<UsageError> {
  const [, option = ""] = /^--([^=]*)/.exec(word) ?? [];
  const instead = command?.instead?.[option];
  if (instead) return new UsageError(`partd ${command?.name} has no --${option}: ${instead}`);
  const known = [...(command?.options ?? []), ...ASKS].map(({ name }) => name);
  return wrong(command, `unknown option '${word}'${await hint(option, known, "--")}`);
}

/** Imported only for a mistake: @partd/core is not needed to start. */
async function hint(typed: string, known: readonly string[], dashes: string): Promise<string> {
  const { nearest } = await import("@partd/core/author");
  const near = nearest(typed, known);
  return near === undefined ? "" : `; did you mean ${dashes}${near}?`;
}

function wrong(command: Command | undefined, fault: string): UsageError {
  return new UsageError(`${fault}\n       See partd ${command ? `${command.name} ` : ""}--help.`);
}

/** Reading it from package.json takes 3 ms. */
async function packageVersion(): Promise<string> {
  return (await import("../machine/version.js")).packageVersion();
}
