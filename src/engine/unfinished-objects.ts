import type { ObjectEntry } from "../types.ts";
import type { OpenEntry } from "./checkpoint.ts";
import { compareKeys } from "./key-order.ts";
import { endOnce, type ListOfObjects, OpenObject, type ProgressList } from "./open-list-object.ts";
import { Snapshots } from "./snapshots.ts";

/** Failed objects of which the bytes are kept for another run. */
const mostFailed = 1_000;

/**
 * The large objects of a run that stages its files: those under way, those that failed, and those of an earlier run. What
 * is complete stands under its name and needs no note, so there is no frontier, and small objects are not here at all.
 */
export class UnfinishedObjects implements ProgressList {
  readonly #leastBytes: number;
  /** Of an earlier run, by key, until they are handed out. */
  readonly #waiting = new Map<string, OpenObject>();
  readonly #members = new Set<OpenObject>();
  readonly #superseded: ObjectEntry[] = [];
  readonly #snapshots = new Snapshots();
  readonly #list: ListOfObjects;
  #failures = 0;
  #snapshot: readonly Told[] = [];
  /** Whether the saved snapshot tells of any object. */
  #saved: boolean;

  /** Objects of more than `leastBytes` are kept track of; `from` is what an earlier run has left of some. */
  constructor(leastBytes: number, from: readonly OpenEntry[] = []) {
    this.#leastBytes = leastBytes;
    this.#saved = from.length > 0;
    this.#list = {
      failed: (object) => this.#fail(object),
      settled: (object) => {
        endOnce(object, "settled");
        this.#members.delete(object);
      },
    };
    for (const open of from) {
      if (open.extents.length > 0) this.#waiting.set(open.entry.key, new OpenObject(open, "waiting", this.#list));
    }
  }

  /** There always is: who copies large objects limits how many of them are under way. */
  readonly hasRoom = true;

  async room(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
  }

  handOut(entry: ObjectEntry): OpenObject | undefined {
    const earlier = this.#waiting.get(entry.key);
    this.#waiting.delete(entry.key);
    if (earlier && isSameVersion(earlier.entry, entry)) {
      earlier.stage = "busy";
      this.#members.add(earlier);
      return earlier;
    }
    if (earlier) this.#superseded.push(earlier.entry);
    if (entry.sizeBytes <= this.#leastBytes) return undefined;
    const object = new OpenObject({ entry, position: entry.key, extents: [] }, "busy", this.#list);
    this.#members.add(object);
    return object;
  }

  /** Whether an earlier run has left some of this version, which has room on the volume already. */
  waitsFor(entry: ObjectEntry): boolean {
    const earlier = this.#waiting.get(entry.key);
    return earlier !== undefined && isSameVersion(earlier.entry, entry);
  }

  async startOver(object: OpenObject, entry: ObjectEntry, signal: AbortSignal): Promise<void> {
    object.reset(entry);
    await this.#snapshots.without(object, signal);
  }

  /** Versions that an earlier run has begun and that this one has no use for; to be asked for after the last was handed out. */
  takeLeftBehind(): readonly ObjectEntry[] {
    const left = [...this.#superseded.splice(0), ...[...this.#waiting.values()].map(({ entry }) => entry)];
    this.#waiting.clear();
    return left;
  }

  /** Whether anything of any object is written, so that a snapshot is worth its while. */
  get hasProgress(): boolean {
    return this.#withExtents().length > 0;
  }

  /** Whether somebody waits for the next snapshot to be saved. */
  get urgent(): boolean {
    return this.#snapshots.urgent;
  }

  /** Takes down what is written at this moment; false when neither this nor the saved snapshot has anything to tell. */
  takeSnapshot(): boolean {
    const objects = this.#withExtents();
    // A list of keys may have one twice.
    const byKey = new Map(objects.map((object) => [object.entry.key, object]));
    this.#snapshots.begin();
    this.#snapshot = [...byKey.values()]
      .toSorted((a, b) => compareKeys(a.entry.key, b.entry.key))
      .map((object) => ({ object, open: this.#snapshots.record(object) }));
    return objects.length > 0 || this.#saved;
  }

  /**
   * What the last snapshot tells of objects that are still not settled, in key order; undefined when that is nothing, and
   * the saved one tells nothing either.
   */
  get told(): readonly OpenEntry[] | undefined {
    this.#snapshot = this.#snapshot.filter(({ object }) => object.stage !== "settled");
    return this.#snapshot.length > 0 || this.#saved ? this.#snapshot.map(({ open }) => open) : undefined;
  }

  /** What `told` gave is on stable storage and has replaced the one before. */
  saved(): void {
    this.#saved = this.#snapshot.length > 0;
    this.#snapshots.saved();
  }

  #withExtents(): OpenObject[] {
    return [...this.#waiting.values(), ...this.#members].filter(({ extents }) => extents.length > 0);
  }

  /** Too many to be kept leave files behind of which no snapshot knows; a later run removes them. */
  #fail(object: OpenObject): void {
    endOnce(object, "failed");
    if (object.extents.length > 0 && this.#failures < mostFailed) this.#failures++;
    else this.#members.delete(object);
  }
}

/** An object, and what a snapshot says of it. */
interface Told {
  readonly object: OpenObject;
  readonly open: OpenEntry;
}

function isSameVersion(a: ObjectEntry, b: ObjectEntry): boolean {
  return a.etag === b.etag && a.sizeBytes === b.sizeBytes;
}
