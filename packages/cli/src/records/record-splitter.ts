/** The text of one record with its line's end, one character a byte, and where it stands. */
export interface RawRecord {
  readonly text: string;
  /** Of its first character, from 1. */
  readonly line: number;
  /** Why it is no record, where that shows in how it was cut. */
  readonly fault?: string;
}

/** Cuts bytes into the texts of records. What is not a record's is passed over. */
export interface RecordSplitter {
  push(piece: Buffer): Generator<RawRecord>;
  /** What is left when no more comes. */
  end(): Generator<RawRecord>;
}

/** Lines; empty ones are no records. */
export class LineSplitter implements RecordSplitter {
  #rest = "";
  #line = 1;

  *push(piece: Buffer): Generator<RawRecord> {
    const text = this.#rest + piece.toString("latin1");
    let start = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", start)) {
      const line = text.slice(start, end + 1);
      if (!isBlank(line)) yield { text: line, line: this.#line };
      this.#line++;
      start = end + 1;
    }
    this.#rest = text.slice(start);
  }

  *end(): Generator<RawRecord> {
    if (!isBlank(this.#rest)) yield { text: `${this.#rest}\n`, line: this.#line };
    this.#rest = "";
  }
}

/** Rows, which go on over the ends of lines within quotes; empty lines are no records. */
export class RowSplitter implements RecordSplitter {
  #rest = "";
  #line = 1;
  /** Of the rest: how far it was looked through, the quotes in it, and the ends of lines. */
  #looked = 0;
  #quoted = false;
  #lines = 0;

  *push(piece: Buffer): Generator<RawRecord> {
    const text = this.#rest + piece.toString("latin1");
    let start = 0;
    let at = this.#looked;
    while (at < text.length) {
      if (this.#quoted) {
        const quote = text.indexOf('"', at);
        const end = quote < 0 ? text.length : quote;
        for (let n = text.indexOf("\n", at); n >= 0 && n < end; n = text.indexOf("\n", n + 1)) {
          this.#lines++;
        }
        this.#quoted = quote < 0;
        at = end + 1;
        continue;
      }
      const end = text.indexOf("\n", at);
      const quote = text.indexOf('"', at);
      if (quote >= 0 && (end < 0 || quote < end)) {
        this.#quoted = true;
        at = quote + 1;
        continue;
      }
      if (end < 0) break;
      this.#lines++;
      const row = text.slice(start, end + 1);
      if (!isBlankRow(row)) yield { text: row, line: this.#line };
      this.#line += this.#lines;
      this.#lines = 0;
      start = end + 1;
      at = start;
    }
    this.#rest = text.slice(start);
    this.#looked = this.#rest.length;
  }

  *end(): Generator<RawRecord> {
    const record = { text: `${this.#rest}\n`, line: this.#line };
    if (this.#quoted) yield { ...record, fault: "a quote is opened here and never closed" };
    else if (!isBlankRow(this.#rest)) yield record;
    this.#rest = "";
  }
}

/** The elements of an array of JSON, each as one line, with its values as they are written. */
export class ElementSplitter implements RecordSplitter {
  #state: "before" | "within" | "behind" = "before";
  #text = "";
  #depth = 0;
  /** Whether a comma was the last of the array's own. */
  #isNext = false;
  #inString = false;
  #escaped = false;
  #line = 1;
  #begun = 1;

  *push(piece: Buffer): Generator<RawRecord> {
    const text = piece.toString("latin1");
    let from = 0;
    for (let at = 0; at < text.length; at++) {
      const character = text[at] as string;
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false;
        else if (character === "\\") this.#escaped = true;
        else if (character === '"') this.#inString = false;
        if (character === "\n") this.#line++;
        continue;
      }
      if (character === '"') {
        this.#inString = true;
        if (this.#isEmpty(text, from, at)) this.#begun = this.#line;
      } else if (
        character === "\n" ||
        character === "\r" ||
        character === "\t" ||
        character === " "
      ) {
        // White space between tokens goes, so that an element is a line.
        this.#text += text.slice(from, at);
        from = at + 1;
        if (character === "\n") this.#line++;
      } else if (this.#state === "before" && character === "[") {
        this.#state = "within";
        from = at + 1;
      } else if (
        this.#state === "within" &&
        this.#depth === 0 &&
        (character === "," || character === "]")
      ) {
        this.#text += text.slice(from, at);
        from = at + 1;
        // "[]" has no element, and "[1,]" one that is missing.
        if (this.#text !== "" || character === "," || this.#isNext) yield this.#take();
        this.#isNext = character === ",";
        if (character === "]") this.#state = "behind";
      } else {
        if (this.#isEmpty(text, from, at)) this.#begun = this.#line;
        if (character === "{" || character === "[") this.#depth++;
        else if (character === "}" || character === "]") this.#depth--;
      }
    }
    this.#text += text.slice(from);
  }

  *end(): Generator<RawRecord> {
    if (this.#state === "behind" && this.#text === "") return;
    const fault = FAULTS[this.#state];
    yield { text: `${this.#text}\n`, line: this.#begun, fault };
  }

  #isEmpty(text: string, from: number, at: number): boolean {
    return this.#text === "" && from === at && text.length > 0;
  }

  #take(): RawRecord {
    const record = { text: `${this.#text}\n`, line: this.#begun };
    this.#text = "";
    this.#begun = this.#line;
    return record;
  }
}

const FAULTS = {
  before: "the file is no JSON array",
  within: "the array does not end",
  behind: "something follows the array",
};

function isBlank(line: string): boolean {
  return line.length < 200 && line.trim() === "";
}

function isBlankRow(row: string): boolean {
  return row === "\n" || row === "\r\n" || row === "" || row === "\r";
}
