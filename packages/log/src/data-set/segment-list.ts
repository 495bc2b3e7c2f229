import { ifSystemError } from "@partd/disk";
import type { ManifestLine } from "../format/manifest-line.js";
import type { Manifest } from "./manifest.js";
import { Segment } from "./segment.js";

/** The segments of a data set, according to the lines of its manifest that were read so far. */
export class SegmentList {
  readonly #directory: string;
  /** In the order in which they were added; base segments first. */
  #segments: Segment[] = [];
  /** Whether the array was given out, and so has to be copied before it changes. */
  #isGiven = false;
  readonly #byId = new Map<string, Segment>();
  /** Segments that no `seal` has covered yet. */
  #unsealed: Segment[] = [];
  /** What the clock had counted before the present segments. */
  #floor = 0;
  /** Bytes of finished segments other than base segments. */
  #finishedBytes = 0;
  /** Segments that still grow: the clock asks for their length. */
  #growing = new Set<Segment>();
  /** Ids of all segments that the manifest ever named. */
  readonly #named = new Set<string>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  get segments(): readonly Segment[] {
    this.#isGiven = true;
    return this.#segments;
  }

  /** Segments that no line has called finished. */
  get growing(): ReadonlySet<Segment> {
    return this.#growing;
  }

  /**
   * A logical clock: the total bytes of all segments that ever existed. Every record advances it, so a
   * record with a higher stamp comes after all that were resolved before, whatever the machines' clocks
   * say.
   */
  clock(): number {
    let bytes = this.#floor + this.#finishedBytes;
    for (const segment of this.#growing) bytes += segment.size;
    return bytes;
  }

  /** The clock's `floor` when `segments` are no longer listed: what it counted without them. */
  floorWithout(segments: readonly Segment[]): number {
    return segments.reduce(
      (sum, { isBase, finished }) => sum + (isBase ? 0 : (finished?.size ?? 0)),
      this.#floor,
    );
  }

  get hasNamedAny(): boolean {
    return this.#named.size > 0;
  }

  hasNamed(id: string): boolean {
    return this.#named.has(id);
  }

  /** The segment of that id, if it is listed. */
  find(id: string): Segment | undefined {
    return this.#byId.get(id);
  }

  /** Adds a segment of this store before the manifest lists it. */
  addOwn(segment: Segment): void {
    this.#add(segment);
    this.#growing.add(segment);
  }

  /** Undoes `addOwn`, before the manifest names the segment. */
  removeOwn(segment: Segment): void {
    if (this.#byId.get(segment.id) === segment) this.#byId.delete(segment.id);
    this.#setSegments(this.#segments.filter((other) => other !== segment));
    this.#unsealed = this.#unsealed.filter((other) => other !== segment);
    this.#growing.delete(segment);
  }

  /** Applies what was added to the manifest. */
  sync(manifest: Manifest): void {
    try {
      while (manifest.hasNews) this.applyNews(manifest);
    } catch (error) {
      throw ifSystemError({ action: "read", path: manifest.path }, error);
    }
  }

  /** Applies what was added to the manifest; of very many lines, some. */
  applyNews(manifest: Manifest): void {
    const { isReplaced } = manifest;
    for (const line of manifest.news()) {
      // Entries of a replaced file do not count, except where a process that passed us over ended our
      // segment.
      const isOurs = line[0] === "finished" && this.find(line[1])?.isOwn;
      if (!isReplaced || isOurs) this.apply(line);
    }
    if (isReplaced && !manifest.hasUnread) this.reload(manifest.reopen());
  }

  apply(line: ManifestLine, known?: ReadonlyMap<string, Segment>): void {
    switch (line[0]) {
      case "segment": {
        const [, id, writer] = line;
        this.#named.add(id);
        if (this.find(id)) return;
        const segment = known?.get(id) ?? new Segment(this.#directory, id, writer);
        this.#add(segment);
        if (segment.finished) this.#finishedBytes += segment.finished.size;
        else this.#growing.add(segment);
        return;
      }
      case "finished": {
        const [, id, end, size] = line;
        const segment = this.find(id);
        if (!segment || !this.#growing.delete(segment)) return;
        segment.finish(Number(end), Number(size));
        this.#finishedBytes += Number(size);
        return;
      }
      case "seal":
        for (const segment of this.#unsealed) segment.seal();
        this.#unsealed = [];
        return;
      case "compacted": {
        const [, floor, newIds, oldIds] = line;
        const base = idsOf(newIds).map((item) => {
          const [id = "", end] = item.split(":");
          return known?.get(id) ?? Segment.base(this.#directory, id, Number(end));
        });
        const old = new Set(idsOf(oldIds));
        for (const id of [...base.map(({ id }) => id), ...old]) this.#named.add(id);
        const kept = this.#segments.filter(({ id }) => !old.has(id));
        this.#replace([...base, ...kept], Number(floor));
        return;
      }
      case "drop":
        this.#replace([], Number(line[1]));
        return;
    }
  }

  /** Starts over from a condensed manifest, which gives the present state without its history. */
  reload(lines: readonly ManifestLine[]): void {
    const before = this.#segments;
    const known = new Map(before.map((segment) => [segment.id, segment]));
    this.#setSegments([]);
    this.#byId.clear();
    this.#growing.clear();
    this.#unsealed = [];
    this.#floor = this.#finishedBytes = 0;
    for (const line of lines) this.apply(line, known);
    for (const segment of before) {
      if (this.#byId.get(segment.id) !== segment) segment.release();
    }
  }

  /**
   * The shortest list of lines that is equivalent to the current manifest.
   *
   * @param unlisted names of files that exist but are not on the list. They must stay named, so that
   *   files that are yet to be removed do not pass for lost ones.
   */
  essence(unlisted: readonly string[]): ManifestLine[] {
    const linesOf = (segment: Segment): ManifestLine[] => {
      const { id, finished, writer } = segment;
      const listed: ManifestLine = ["segment", id, writer];
      if (!finished || this.#growing.has(segment)) return [listed];
      return [listed, ["finished", id, String(finished.end), String(finished.size)]];
    };
    const base = this.#segments.filter(({ isBase }) => isBase);
    const others = this.#segments.filter(({ isBase }) => !isBase);
    const baseIds = base.map(({ id, finished }) => `${id}:${finished?.end}`).join(",");
    const gone = unlisted
      .filter((name) => name.endsWith(".seg"))
      .map((name) => name.slice(0, 16))
      .filter((id) => this.#named.has(id));
    return [
      ["compacted", String(this.#floor), baseIds || "-", gone.join(",") || "-"],
      ...others.filter(({ sealed }) => sealed).flatMap(linesOf),
      ["seal"],
      ...others.filter(({ sealed }) => !sealed).flatMap(linesOf),
    ];
  }

  #replace(segments: readonly Segment[], floor: number): void {
    const kept = new Set(segments);
    for (const segment of this.#segments) if (!kept.has(segment)) segment.release();
    this.#setSegments([...segments]);
    this.#byId.clear();
    for (const segment of segments) this.#byId.set(segment.id, segment);
    this.#unsealed = segments.filter(({ sealed }) => !sealed);
    this.#floor = floor;
    this.#growing = new Set(segments.filter(({ finished, isBase }) => !finished && !isBase));
    this.#finishedBytes = 0;
    for (const segment of segments) {
      if (!segment.isBase) this.#finishedBytes += segment.finished?.size ?? 0;
    }
  }

  #add(segment: Segment): void {
    if (this.#isGiven) this.#setSegments([...this.#segments]);
    this.#segments.push(segment);
    this.#byId.set(segment.id, segment);
    if (!segment.sealed) this.#unsealed.push(segment);
  }

  #setSegments(segments: Segment[]): void {
    this.#segments = segments;
    this.#isGiven = false;
  }
}

function idsOf(list: string): string[] {
  return list === "-" ? [] : list.split(",");
}
