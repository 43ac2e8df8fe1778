import type { Counts } from "../types.ts";

const mebibyte = 2 ** 20;
/** A checkpoint of d milliseconds is followed by 33 d without one: at most 1/34 of the time is theirs, less than 3 %. */
const restFactor = 33;

/** How much may be lost at most, unless checkpoints are slow. */
export interface CheckpointLimits {
  readonly everyMs: number;
  readonly everyBytes: number;
  readonly everyObjects: number;
}

/** `memoryLimitBytes` is the cgroup's: dirty pages count against it. */
export function checkpointLimits(memoryLimitBytes: number | undefined): CheckpointLimits {
  const everyBytes = Math.min(256 * mebibyte, (memoryLimitBytes ?? Number.POSITIVE_INFINITY) / 4);
  return { everyMs: 5000, everyBytes, everyObjects: 2000 };
}

/** When to take the next checkpoint. Times are monotonic milliseconds; `done` are totals that only grow. */
export class CheckpointSchedule {
  readonly #limits: CheckpointLimits;
  #startedMs: number;
  #notBeforeMs: number;
  #running = false;
  #done: Counts;

  /** `done` is what needs no checkpoint any more, such as what an earlier run did. */
  constructor(limits: CheckpointLimits, nowMs: number, done: Counts = { objects: 0, bytes: 0 }) {
    this.#limits = limits;
    this.#startedMs = nowMs;
    this.#notBeforeMs = nowMs;
    this.#done = { ...done };
  }

  /**
   * `done` are the bytes written and the objects settled so far; `urgent`: somebody waits for the next one. Nothing is
   * due while one is being taken, or too soon after.
   */
  due(nowMs: number, done: Counts, urgent = false): boolean {
    if (this.#running || nowMs < this.#notBeforeMs) return false;
    if (urgent) return true;
    const objects = done.objects - this.#done.objects;
    const bytes = done.bytes - this.#done.bytes;
    if (objects <= 0 && bytes <= 0) return false;
    const { everyMs, everyBytes, everyObjects } = this.#limits;
    return nowMs - this.#startedMs >= everyMs || bytes >= everyBytes || objects >= everyObjects;
  }

  /** One is being taken: what is done from now on belongs to the next. */
  started(nowMs: number, done: Counts): void {
    this.#running = true;
    this.#startedMs = nowMs;
    this.#done = { ...done };
  }

  /** It is on stable storage, or was given up. */
  ended(nowMs: number): void {
    this.#running = false;
    this.#notBeforeMs = nowMs + restFactor * (nowMs - this.#startedMs);
  }
}
