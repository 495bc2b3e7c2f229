/** A field by its path: dots lead into objects, `\.` is a dot of a name, `\\` a backslash. */
export class FieldPath {
  readonly names: readonly string[];

  constructor(path: string) {
    const names = [""];
    for (let at = 0; at < path.length; at++) {
      const character = path[at] as string;
      if (character === "\\" && at + 1 < path.length)
        names.push(names.pop() + (path[++at] as string));
      else if (character === ".") names.push("");
      else names.push(names.pop() + character);
    }
    this.names = names;
  }

  /** A name as it stands in a path. */
  static escape(name: string): string {
    return name.replace(/[\\.]/g, "\\$&");
  }

  /** The name, where the path leads to a member of the record itself. */
  get own(): string | undefined {
    return this.names.length === 1 ? this.names[0] : undefined;
  }

  of(record: unknown): unknown {
    let value = record;
    for (const name of this.names) {
      if (typeof value !== "object" || value === null || !Object.hasOwn(value, name))
        return undefined;
      value = (value as Record<string, unknown>)[name];
    }
    return value;
  }
}
