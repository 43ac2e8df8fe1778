import type { ObjectEntry, Verification } from "../types.ts";
import type { OpenEntry } from "./checkpoint.ts";
import { addExtent, type Extent } from "./checkpoint-extents.ts";
import type { Position } from "./checkpoint-position.ts";

/** How an object leaves the list; `verification` is undefined for what has no bytes of its own. */
export type Settled =
  | { readonly outcome: "copied"; readonly bytes: number; readonly verification: Verification | undefined }
  | { readonly outcome: "skipped"; readonly bytes: number }
  | { readonly outcome: "dropped" };

/** What an object tells the list that it is on. */
export interface ListOfObjects {
  failed(object: OpenObject): void;
  settled(object: OpenObject, settled: Settled): void;
}

/** Where objects are handed out, and what is written of them is known for as long as they are not settled. */
export interface ProgressList {
  /** Whether another entry may be handed out now. */
  readonly hasRoom: boolean;
  /** Resolves when another entry may be handed out. Rejects with the signal's reason or TooManyFailures. */
  room(signal: AbortSignal): Promise<void>;
  /** An entry that a worker begins now; undefined for one whose progress is of no interest. */
  handOut(entry: ObjectEntry): OpenObject | undefined;
  /** Resolves when no checkpoint says that anything of the object is there; it is to be copied as `entry`. */
  startOver(object: OpenObject, entry: ObjectEntry, signal: AbortSignal): Promise<void>;
}

/** `waiting`: of an earlier run, not handed out yet. `settled`: not on the list any more. */
export type Stage = "waiting" | "busy" | "failed" | "settled";

/** Shared by all that have none, as small objects never do. */
const none: Extent[] = [];

/**
 * An object on the open list, held by whoever works on it. It ends in exactly one of `copied`, `skipped`, `dropped` and
 * `failed`; a second end throws Error.
 */
export class OpenObject {
  readonly position: Position;
  /** Its place in the list, which alone writes it. */
  index = 0;
  /** Written by the list alone. */
  stage: Stage;
  /** Number of the last snapshot with extents of it; undefined when there is none. Written by the list alone. */
  recordedIn: number | undefined;
  readonly #list: ListOfObjects;
  #entry: ObjectEntry;
  #extents: Extent[];

  constructor({ entry, position, extents }: OpenEntry, stage: Stage, list: ListOfObjects) {
    this.position = position;
    this.stage = stage;
    this.#list = list;
    this.#entry = entry;
    this.#extents = extents.length === 0 ? none : [...extents];
    this.recordedIn = extents.length === 0 ? undefined : 0;
  }

  /** The version that the extents are of. */
  get entry(): ObjectEntry {
    return this.#entry;
  }

  /** What is written already: ascending, disjoint, neighbours merged. Changes with every `extent`. */
  get extents(): readonly Extent[] {
    return this.#extents;
  }

  /** A range is written and its CRC-64 is known. Throws Error when bytes come twice. */
  extent(extent: Extent): void {
    if (this.#extents === none) this.#extents = [];
    addExtent(this.#extents, extent);
  }

  /** Nothing of `entry` is there. For the list: before the file is touched, `OpenList.startOver` must have resolved. */
  reset(entry: ObjectEntry): void {
    this.#entry = entry;
    this.#extents = none;
  }

  /** Verified and settled. */
  copied(bytes: number, verification: Verification | undefined): void {
    this.#list.settled(this, { outcome: "copied", bytes, verification });
  }

  /** Refused under `--unsupported skip`, or in place already. */
  skipped(): void {
    this.#list.settled(this, { outcome: "skipped", bytes: this.#entry.sizeBytes });
  }

  /** Neither in the source nor on the volume any more: it counts nowhere. */
  dropped(): void {
    this.#list.settled(this, { outcome: "dropped" });
  }

  /** Stays on the list and comes back in the next run; for this one that is its end. */
  failed(): void {
    this.#list.failed(this);
  }
}

/** Notes the end of an object; throws Error if that is not its first. */
export function endOnce(object: OpenObject, end: "settled" | "failed"): void {
  if (object.stage !== "busy") throw new Error(`object ${object.position} cannot be ${end}: it is ${object.stage}`);
  object.stage = end;
}
