/** The fields of one row of CSV or TSV as they are written, including quotes. */
export function rawFields(row: string, delimiter: string): string[] {
  const fields: string[] = [];
  const end = row.replace(/\r?\n$/, "").length;
  let start = 0;
  let quoted = false;
  for (let at = 0; at < end; at++) {
    const character = row[at];
    if (character === '"') quoted = !quoted;
    else if (character === delimiter && !quoted) {
      fields.push(row.slice(start, at));
      start = at + 1;
    }
  }
  fields.push(row.slice(start, end));
  return fields;
}

/** The text of a raw field. */
export function fieldText(raw: string): string {
  return raw.startsWith('"') ? raw.slice(1, -1).replaceAll('""', '"') : raw;
}

/** Text as a raw field, in quotes if it needs them. */
export function rawField(text: string, delimiter: string): string {
  const needsQuotes = /["\r\n]/.test(text) || text.includes(delimiter) || /^\s|\s$/.test(text);
  return needsQuotes ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Raw fields as a row, with the line ending of the row `like`. */
export function rowOf(fields: readonly string[], delimiter: string, like: string): string {
  return `${fields.join(delimiter)}${like.endsWith("\r\n") ? "\r\n" : "\n"}`;
}

/** The column names of a header, in which each character is a byte. */
export function columnsOf(header: string, delimiter: string): string[] {
  return rawFields(Buffer.from(header, "latin1").toString(), delimiter).map(fieldText);
}

/** A name that several columns have. */
export function twinOf(columns: readonly string[]): string | undefined {
  const seen = new Set<string>();
  return columns.find((name) => seen.size === seen.add(name).size);
}
