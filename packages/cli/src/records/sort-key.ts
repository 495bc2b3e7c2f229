import { UsageError } from "../command/failure.js";
import { nearest } from "../command/nearest.js";

export interface SortKey {
  readonly field: string;
  readonly order: "asc" | "desc";
  readonly as: "number" | "string" | undefined;
}

/** `FIELD[:desc][:numeric]`; a colon of a name is `\:`. */
export function parseSortKey(text: string): SortKey {
  const [field = "", ...words] = text.split(/(?<!\\):/).map((part) => part.replaceAll("\\:", ":"));
  let order: SortKey["order"] = "asc";
  let as: SortKey["as"];
  for (const word of words) {
    if (word === "asc" || word === "desc") order = word;
    else if (word === "numeric" || word === "text") as = word === "numeric" ? "number" : "string";
    else {
      const near = nearest(word, WORDS);
      const hint = near === undefined ? `one of ${WORDS.join(", ")}` : near;
      throw new UsageError(`--by ${text}: there is no order ${word}; did you mean ${hint}?`);
    }
  }
  if (field === "") throw new UsageError(`--by ${text} names no field`);
  return { field, order, as };
}

const WORDS = ["asc", "desc", "numeric", "text"];
