import type { Argument, Command, Completion, Option } from "../command/command.js";
import { aboutOf, HELP } from "../command/help.js";

/** A script of completions for zsh: put it as `_partd` into a folder of the fpath, or source it. */
export function zshCompletion(commands: readonly Command[]): string {
  return `#compdef partd
_partd() {
  local context state line
  typeset -A opt_args
  _arguments -C '(- *)'{-h,--help}'[print help]' '(- *)'{-V,--version}'[print the version]' \\
    '1:command:->command' '*::argument:->arguments'
  case $state in
    command)
      local -a commands=(
${commands.map(({ name, summary }) => `        ${quoted(`${name}:${summary}`)}`).join("\n")}
      )
      _describe command commands
      ;;
    arguments)
      case $line[1] in
${commands.map(caseOf).join("\n")}
      esac
      ;;
  esac
}
if [[ $funcstack[1] == _partd ]]; then _partd "$@"; else compdef _partd partd; fi
`;
}

function caseOf(command: Command): string {
  const specs = [
    ...[...command.options, HELP].map(optionSpec),
    ...command.arguments.map(argumentSpec),
  ];
  return `        ${command.name})
          _arguments -s \\
            ${specs.join(" \\\n            ")}
          ;;`;
}

function optionSpec(option: Option): string {
  const { name, short, value, list, completes } = option;
  const about = `[${escaped(aboutOf(option))}]`;
  const rest = value === undefined ? about : `${about}:${escaped(value)}:${actionOf(completes)}`;
  const repeated = list ? "*" : "";
  if (short === undefined) return quoted(`${repeated}--${name}${rest}`);
  const others = list ? quoted("*") : quoted(`(-${short} --${name})`);
  return `${others}{-${short},--${name}}${quoted(rest)}`;
}

function argumentSpec({ name, variadic, required, completes }: Argument, index: number): string {
  const place = variadic ? "*" : String(index + 1);
  return quoted(
    `${place}${required || variadic ? ":" : "::"}${escaped(name)}:${actionOf(completes)}`,
  );
}

function actionOf(completes: Completion | undefined): string {
  if (completes === "file") return "_files";
  if (completes === "directory") return "_files -/";
  return completes === undefined ? " " : `(${completes.join(" ")})`;
}

function escaped(text: string): string {
  return text.replace(/[\\[\]:]/g, "\\$&");
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
