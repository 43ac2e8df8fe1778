import type { Counts } from "../types.ts";

const mebibyte = 2 ** 20;
/**
 * A checkpoint of d milliseconds is followed by 33 d without one, and the next comes when one as long as it, with all before
 * it, would be 1/34 of the run, less than 3 %.
 */
const restFactor = 33;
/** A run with a limit waits for that and not for its disk: checkpoints take no time of it, and what they save is dear. */
const limited = { leastBytes: 64 * mebibyte, everySeconds: 1.5, mostRestMs: 2000 };

/** How much may be lost at most, unless checkpoints are slow. */
export interface CheckpointLimits {
  readonly everyMs: number;
  readonly everyBytes: number;
  readonly everyObjects: number;
  /** Longest rest after a checkpoint; default is none. */
  readonly mostRestMs?: number;
}

export interface RunLimits {
  /** The cgroup's: dirty pages count against it. */
  readonly memoryLimitBytes: number | undefined;
  /** The run's own. */
  readonly limitBytesPerSecond: number | undefined;
}

export function checkpointLimits({ memoryLimitBytes, limitBytesPerSecond }: RunLimits): CheckpointLimits {
  const mostBytes = Math.min(256 * mebibyte, (memoryLimitBytes ?? Number.POSITIVE_INFINITY) / 4);
  const often = { everyMs: 5000, everyObjects: 2000 };
  if (limitBytesPerSecond === undefined) return { ...often, everyBytes: mostBytes };
  const { leastBytes, everySeconds, mostRestMs } = limited;
  return {
    ...often,
    everyBytes: Math.min(mostBytes, Math.max(leastBytes, everySeconds * limitBytesPerSecond)),
    mostRestMs,
  };
}

/** When to take the next checkpoint. Times are monotonic milliseconds; `done` are totals that only grow. */
export class CheckpointSchedule {
  readonly #limits: CheckpointLimits;
  readonly #begunMs: number;
  #startedMs: number;
  #spentMs = 0;
  #notBeforeMs: number;
  #running = false;
  #done: Counts;

  /** `done` is what needs no checkpoint any more, such as what an earlier run did. */
  constructor(limits: CheckpointLimits, nowMs: number, done: Counts = { objects: 0, bytes: 0 }) {
    this.#limits = limits;
    this.#begunMs = nowMs;
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
    const { mostRestMs = Number.POSITIVE_INFINITY } = this.#limits;
    const tookMs = nowMs - this.#startedMs;
    this.#spentMs += tookMs;
    const affordableMs = this.#begunMs + restFactor * tookMs + (restFactor + 1) * this.#spentMs;
    this.#notBeforeMs = Math.min(nowMs + mostRestMs, Math.max(nowMs + restFactor * tookMs, affordableMs));
  }
}
