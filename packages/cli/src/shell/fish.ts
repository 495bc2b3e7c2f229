import type { Command, Completion, Option } from "../command/command.js";
import { aboutOf, HELP } from "../command/help.js";

/** A script of completions for fish 3. */
export function fishCompletion(commands: readonly Command[]): string {
  const lines = ["# fish completion for partd", "complete -c partd -f"];
  for (const { name, summary } of commands) {
    lines.push(`complete -c partd -n __fish_use_subcommand -a ${name} -d ${quoted(summary)}`);
  }
  lines.push(`complete -c partd -n __fish_use_subcommand -s h -l help -d 'print help'`);
  lines.push(`complete -c partd -n __fish_use_subcommand -s V -l version -d 'print the version'`);
  for (const command of commands) {
    const given = `complete -c partd -n ${quoted(`__fish_seen_subcommand_from ${command.name}`)}`;
    for (const { completes } of command.arguments) {
      if (completes !== undefined) lines.push(`${given} ${valuesOf(completes)}`);
    }
    for (const option of [...command.options, HELP]) lines.push(`${given} ${optionOf(option)}`);
  }
  return `${[...new Set(lines)].join("\n")}\n`;
}

function optionOf(option: Option): string {
  const { name, short, value, completes } = option;
  const names = `${short ? `-s ${short} ` : ""}-l ${name}`;
  const values =
    value === undefined ? "" : completes === undefined ? " -x" : ` ${takes(completes)}`;
  return `${names}${values} -d ${quoted(aboutOf(option))}`;
}

/** The flags for an option whose value is a file, or is not. */
function takes(completes: Completion): string {
  return `${completes === "file" ? "-r" : "-x"} ${valuesOf(completes)}`;
}

function valuesOf(completes: Completion): string {
  if (completes === "file") return "-F";
  if (completes === "directory") return "-a '(__fish_complete_directories)'";
  return `-a ${quoted(completes.join(" "))}`;
}

function quoted(text: string): string {
  return `'${text.replace(/[\\']/g, "\\$&")}'`;
}
