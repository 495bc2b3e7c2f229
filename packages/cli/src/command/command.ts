import type { Terminal } from "../terminal/terminal.js";

/**
 * A command as data, from which the parser, `--help`, the completions and the man page are made. Only
 * `load` imports the code that does the work, so that starting up stays cheap.
 */
export interface Command {
  readonly name: string;
  /**
   * What other programs call it: an unknown command of such a name is answered with this one's name.
   */
  readonly elsewhere?: readonly string[];
  /** One sentence without its full stop, for lists of commands. */
  readonly summary: string;
  /** Paragraphs for `--help` and the man page. */
  readonly about: readonly string[];
  /** Three or more, the most usual first. */
  readonly examples: readonly Example[];
  readonly arguments: readonly Argument[];
  readonly options: readonly Option[];
  /** By the name of an option of other commands that this one lacks: what to do instead. */
  readonly instead?: { readonly [option: string]: string };
  readonly load: () => Promise<Action>;
}

export interface Example {
  readonly line: string;
  /** What the example does, in the imperative. */
  readonly does: string;
}

export interface Argument {
  readonly name: string;
  readonly about: string;
  readonly required?: boolean;
  readonly variadic?: boolean;
  readonly completes?: Completion;
}

export interface Option {
  /** Without dashes: `"max-bytes"`. */
  readonly name: string;
  readonly short?: string;
  /** The placeholder of the value in help: `"FIELD"`. A switch has none. */
  readonly value?: string;
  /** Whether it may be given several times, each with one or more values separated by commas. */
  readonly list?: boolean;
  readonly about: string;
  readonly choices?: readonly string[];
  /** Other words for choices, in lower case. */
  readonly aliases?: { readonly [word: string]: string };
  readonly completes?: Completion;
  /** A value that means the same as leaving the option out. */
  readonly none?: string;
  /** Reads the value; throws a `UsageError`, which the parser completes with the option's name. */
  readonly parse?: (text: string) => unknown;
}

/** What a shell offers for a value. */
export type Completion = "file" | "directory" | readonly string[];

/** Does the work of a command, and returns its exit code unless that is 0. */
export type Action = (call: Call) => Promise<number | undefined>;

/** One call of a command. */
export interface Call {
  readonly arguments: readonly string[];
  readonly options: Options;
  /** All commands, for those that describe them. */
  readonly commands: readonly Command[];
  readonly terminal: Terminal;
  /** Aborted by Ctrl-C, SIGTERM or SIGHUP. */
  readonly signal: AbortSignal;
}

/** Options by name as written on the command line, without dashes. */
export class Options {
  readonly #values: ReadonlyMap<string, unknown>;

  constructor(values: ReadonlyMap<string, unknown>) {
    this.#values = values;
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  text(name: string): string | undefined {
    return this.#values.get(name) as string | undefined;
  }

  number(name: string): number | undefined {
    return this.#values.get(name) as number | undefined;
  }

  list(name: string): readonly string[] {
    return (this.#values.get(name) as readonly string[] | undefined) ?? [];
  }
}

/** How an argument is written in usage lines: `<input...>`. */
export function termOf({ name, required, variadic }: Argument): string {
  const inner = variadic ? `${name}...` : name;
  return required ? `<${inner}>` : `[${inner}]`;
}

/** How an option is written in usage lines: `-o, --out DIR`. */
export function flagsOf({ name, short, value }: Option): string {
  return `${short ? `-${short}, ` : ""}--${name}${value ? ` ${value}` : ""}`;
}
