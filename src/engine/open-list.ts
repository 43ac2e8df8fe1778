import type { ObjectEntry } from "../types.ts";
import type { OpenEntry, OpenListState } from "./checkpoint.ts";
import { comparePositions, type Position } from "./checkpoint-position.ts";
import { SettledAhead, type Tallies, talliesFrom, tally } from "./open-list-ahead.ts";
import {
  endOnce,
  type ListOfObjects,
  OpenObject,
  type ProgressList,
  type Settled,
  type Stage,
} from "./open-list-object.ts";
import { Snapshots } from "./snapshots.ts";
import { TooManyFailures } from "./too-many-failures.ts";
import { Waiters } from "./waiters.ts";

/** Entries that may be open: far more than requests in flight, and a checkpoint of some megabytes at most. */
export const mostOpen = 10_000;

const noExtents: OpenEntry["extents"] = [];

/**
 * The frontier, and the entries up to it that are not settled. Members know their place in an array: a `Map` would
 * leave a dead hash table behind at each rehash, which keeps the next one alive until the next full collection.
 */
export class OpenList implements ProgressList {
  readonly #capacity: number;
  readonly #members: OpenObject[] = [];
  /** Of an earlier run, by position, until they are handed out, passed or refused. */
  readonly #waiting = new Map<Position, OpenObject>();
  readonly #counts: Tallies;
  readonly #ahead = new SettledAhead();
  readonly #list: ListOfObjects;
  #frontier: Position | undefined;
  #keysAscend: boolean;
  #failures = 0;
  #overflowed = false;
  readonly #snapshots = new Snapshots();
  readonly #waiters = new Waiters();

  /** `from` is what an earlier run left; its entries are to be handed out, passed or refused before any other. */
  constructor(capacity: number = mostOpen, from?: OpenListState) {
    this.#list = {
      failed: (object) => this.#fail(object),
      settled: (object, settled) => this.#settle(object, settled),
    };
    this.#capacity = capacity;
    this.#frontier = from?.frontier;
    this.#keysAscend = from?.keysAscend ?? true;
    this.#counts = talliesFrom(from?.counts);
    for (const open of from?.open ?? []) this.#waiting.set(open.position, this.#add(open, "waiting"));
  }

  /**
   * Entries on the list. At most the capacity, and one more for each worker that passes `room` at the same time; what
   * planning refuses comes on top, at most the capacity once more.
   */
  get size(): number {
    return this.#members.length;
  }

  /** Position of the last entry handed out, in this run or an earlier one. */
  get frontier(): Position | undefined {
    return this.#frontier;
  }

  /** Entries of an earlier run that have not been handed out, passed or refused in this one. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * Resolves when another entry may be handed out. Rejects with the signal's reason, and with TooManyFailures when the
   * list is full of failed entries.
   */
  async room(signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      if (this.#isStuck()) throw new TooManyFailures();
      if (this.hasRoom) return;
      await this.#waiters.change(signal);
    }
  }

  /**
   * The entry of a task that a worker begins now; the frontier moves there. To be called in the order of the listing
   * and in the same turn in which the task leaves the queue, or a snapshot in between would miss it. An entry of an
   * earlier run keeps its extents if it is the same version.
   */
  handOut(entry: ObjectEntry, position: Position = entry.key): OpenObject {
    const earlier = this.#takeWaiting(position);
    if (!earlier) {
      this.#advance(position);
      return this.#add({ entry, position, extents: noExtents }, "busy");
    }
    const { etag, sizeBytes } = earlier.entry;
    if (etag !== entry.etag || sizeBytes !== entry.sizeBytes) earlier.reset(entry);
    return earlier;
  }

  /** Planning settled an entry that is never handed out: it counts once the frontier is beyond it. */
  passed(entry: ObjectEntry, outcome: "copied" | "skipped", position: Position = entry.key): void {
    const settled: Settled = { outcome, bytes: entry.sizeBytes, verification: undefined };
    const earlier = this.#takeWaiting(position);
    if (earlier) this.#settle(earlier, settled);
    else this.#ahead.add(position, settled);
    if (this.#ahead.full) this.#ahead.moveTo(this.#counts, this.#frontier);
    if (this.#ahead.full) this.#ahead.thin();
  }

  /** Planning refused an entry that is never handed out: a failure, which stays on the list. */
  refused(entry: ObjectEntry, position: Position = entry.key): void {
    const earlier = this.#takeWaiting(position);
    if (earlier || this.#failures < this.#capacity) {
      this.#fail(earlier ?? this.#add({ entry, position, extents: noExtents }, "busy"));
    } else {
      this.#overflowed = true;
      this.#wake();
      this.#snapshots.wake();
    }
  }

  /** An entry of an earlier run is neither in the source nor on the volume any more; it counts nowhere. */
  dropped(position: Position): void {
    this.#takeWaiting(position)?.dropped();
  }

  /** The listing is not in order: snapshots say so from now on, and no run resumes from them. */
  outOfOrder(): void {
    this.#keysAscend = false;
  }

  /**
   * Nothing of the object is there, and it is to be copied as `entry`. Resolves when no checkpoint on the volume says
   * otherwise: only then may its file be made or truncated, or a crash would leave a checkpoint that vouches for bytes
   * which are gone, in a file that is long enough. (A file may be removed at any time: one that is missing starts over.)
   * Waits for `saved` only if there is such a checkpoint. Rejects like `room`.
   */
  async startOver(object: OpenObject, entry: ObjectEntry, signal: AbortSignal): Promise<void> {
    object.reset(entry);
    await this.#snapshots.without(object, signal, () => {
      if (this.#overflowed) throw new TooManyFailures();
    });
  }

  /** Whether somebody waits for the next checkpoint in order to start over. */
  get urgent(): boolean {
    return this.#snapshots.urgent;
  }

  /** The last snapshot taken is on stable storage and has replaced the one before. */
  saved(): void {
    this.#snapshots.saved();
  }

  /** The state at this moment; undefined when more entries failed than are kept: then no checkpoint may be taken. */
  snapshot(): OpenListState | undefined {
    if (this.#overflowed) return undefined;
    const frontier = this.#frontier;
    this.#snapshots.begin();
    this.#ahead.moveTo(this.#counts, frontier);
    return { frontier, open: this.#openEntries(), counts: talliesFrom(this.#counts), keysAscend: this.#keysAscend };
  }

  /** In order, without what planning refused beyond the frontier: that will be planned again. */
  #openEntries(): OpenEntry[] {
    const frontier = this.#frontier;
    if (frontier === undefined) return [];
    return this.#members
      .filter(({ position }) => comparePositions(position, frontier) <= 0)
      .toSorted((a, b) => comparePositions(a.position, b.position))
      .map((object) => this.#snapshots.record(object));
  }

  #advance(position: Position): void {
    if (this.#frontier === undefined || comparePositions(position, this.#frontier) > 0) this.#frontier = position;
    else this.#keysAscend = false;
  }

  #add(open: OpenEntry, stage: Stage): OpenObject {
    const object = new OpenObject(open, stage, this.#list);
    object.index = this.#members.length;
    this.#members.push(object);
    return object;
  }

  #takeWaiting(position: Position): OpenObject | undefined {
    if (this.#waiting.size === 0) return undefined;
    const object = this.#waiting.get(position);
    if (!object) return undefined;
    this.#waiting.delete(position);
    object.stage = "busy";
    return object;
  }

  #settle(object: OpenObject, settled: Settled): void {
    endOnce(object, "settled");
    tally(this.#counts, settled);
    const last = this.#members.pop();
    if (last && last !== object) {
      this.#members[object.index] = last;
      last.index = object.index;
    }
    this.#wake();
  }

  #fail(object: OpenObject): void {
    endOnce(object, "failed");
    this.#failures++;
    this.#wake();
  }

  /** Whether another entry may be handed out now; see `room`. */
  get hasRoom(): boolean {
    // Tasks of an earlier run come first in the queue: they are on the list already.
    const hasPlace = this.#members.length < this.#capacity || this.#waiting.size > 0;
    return hasPlace && !this.#isStuck();
  }

  #isStuck(): boolean {
    return this.#overflowed || (this.#failures >= this.#capacity && this.#failures === this.#members.length);
  }

  /** All of them: one that finds the queue empty would not wake the next. */
  #wake(): void {
    if (this.#waiters.isEmpty || !(this.hasRoom || this.#isStuck())) return;
    this.#waiters.wake();
  }
}
