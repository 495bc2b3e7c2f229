/**
 * What is appended: each element names its key and itself, and fills the rest with a pad of known
 * length, so that one that is torn, overwritten or under another key is seen in any value.
 */
export function elementText(key: string, id: string, pad: number): string {
  return `<${key} ${id} ${pad}:${"x".repeat(pad)}>`;
}

/** The elements of a key's value by their ids. A stretch that is none stands as one that begins with "!". */
export function elementsOf(key: string, value: Uint8Array): string[] {
  const text = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("latin1");
  const ids: string[] = [];
  const head = /<([^ <>]+) ([^ <>]+) (\d+):/y;
  for (let at = 0; at < text.length; ) {
    head.lastIndex = at;
    const [, owner, id = "", length] = head.exec(text) ?? [];
    const end = head.lastIndex + Number(length);
    const isWhole =
      owner === key && text[end] === ">" && /^x*$/.test(text.slice(head.lastIndex, end));
    if (!isWhole) {
      ids.push(`!${at} of ${text.length}: ${JSON.stringify(text.slice(at, at + 60))}`);
      const next = text.indexOf("<", at + 1);
      at = next < 0 ? text.length : next;
      continue;
    }
    ids.push(id);
    at = end + 1;
  }
  return ids;
}
