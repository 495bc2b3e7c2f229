import type { Command, Completion, Option } from "../command/command.js";
import { HELP } from "../command/help.js";

/** A script of completions for bash 3.2 and later, which stands alone. */
export function bashCompletion(commands: readonly Command[]): string {
  return `# bash completion for partd
_partd() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]}
  local command=\${COMP_WORDS[1]}
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W "${commands.map(({ name }) => name).join(" ")} --help --version" -- "$current"))
    return
  fi
  case $command in
${commands.map(caseOf).join("\n")}
  esac
}
_partd_files() {
  compopt -o filenames 2>/dev/null
  local IFS=$'\\n'
  COMPREPLY=($(compgen "$1" -- "$2"))
}
complete -F _partd partd
`;
}

function caseOf(command: Command): string {
  const options = [...command.options, HELP];
  const withValue = options.filter(({ value }) => value !== undefined);
  const flags = options.map(({ name }) => `--${name}`).join(" ");
  return `    ${command.name})
      case $previous in
${withValue.map(valueCase).join("\n")}
      esac
      if [[ $current == -* ]]; then
        COMPREPLY=($(compgen -W "${flags}" -- "$current"))
        return
      fi
      ${replyFor(argumentsOf(command))}
      ;;`;
}

function valueCase(option: Option): string {
  const patterns = [`--${option.name}`, ...(option.short ? [`-${option.short}`] : [])];
  return `        ${patterns.join(" | ")}) ${replyFor(option.completes)}; return ;;`;
}

/** What a shell offers for the arguments of the command. */
function argumentsOf({ arguments: words }: Command): Completion | undefined {
  return words.map(({ completes }) => completes).find((one) => one !== undefined);
}

function replyFor(completes: Completion | undefined): string {
  if (completes === "file") return '_partd_files -f "$current"';
  if (completes === "directory") return '_partd_files -d "$current"';
  if (completes === undefined) return ":";
  return `COMPREPLY=($(compgen -W "${completes.join(" ")}" -- "$current"))`;
}
