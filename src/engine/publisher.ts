import { CopyError } from "../errors.ts";
import type { Clock, DataPlane, FileTarget } from "../types.ts";
import type { OpenEntry } from "./checkpoint.ts";
import { type CheckpointLimits, CheckpointSchedule } from "./checkpoint-schedule.ts";
import { nextPoll } from "./poll.ts";
import { isObjectsOwn } from "./retry.ts";
import type { UnfinishedObjects } from "./unfinished-objects.ts";

export interface PublisherParts {
  readonly plane: Pick<DataPlane, "publish" | "stats">;
  /** Resolves when what was written before the call is on stable storage. */
  readonly sync: () => Promise<void>;
  readonly clock: Clock;
  /** How long, and up to how many files and bytes, staged files wait for a common sync. */
  readonly limits: CheckpointLimits;
  /** Keeps how far large objects are, for another run to go on with; undefined where none could. */
  readonly keeper?: Keeper | undefined;
}

export interface Keeper {
  readonly unfinished: UnfinishedObjects;
  /** Puts on stable storage what is written of objects, in place of what was there before. */
  readonly save: (open: readonly OpenEntry[]) => Promise<void>;
}

interface Staged {
  readonly target: FileTarget;
  readonly done: (error: unknown) => void;
}

/**
 * Gives staged files their time and name, in batches, after a sync that covers their bytes: a torn file must never carry
 * the size and time by which a later run would skip it. The same sync covers what is told of unfinished objects.
 */
export class Publisher {
  readonly #parts: PublisherParts;
  readonly #schedule: CheckpointSchedule;
  #batch: Staged[] = [];
  #bytes = 0;
  #oldestMs = 0;
  /** Ends with the last flush asked for; one that has failed fails all that come after it. */
  #flushing: Promise<void> = Promise.resolve();
  #begun = false;
  #failed = false;
  /** Whether a staged file stays without a name. */
  #left = false;

  constructor(parts: PublisherParts) {
    this.#parts = parts;
    this.#schedule = new CheckpointSchedule(parts.limits, parts.clock.nowMs(), this.#written());
  }

  /** The objects whose progress is kept; undefined where none is. */
  get unfinished(): UnfinishedObjects | undefined {
    return this.#parts.keeper?.unfinished;
  }

  /** Whether nothing is staged, and nothing kept for another run. */
  get isEmpty(): boolean {
    return !this.#failed && !this.#left && this.#batch.length === 0 && this.unfinished?.hasProgress !== true;
  }

  /**
   * Queues a verified file; `done` is told how it went. Resolves when there is room for more: while a sync takes its time,
   * no more than one further batch gathers. Throws a failed sync.
   */
  async add(target: FileTarget, done: (error: unknown) => void): Promise<void> {
    if (this.#batch.length === 0) this.#oldestMs = this.#parts.clock.nowMs();
    this.#batch.push({ target, done });
    this.#bytes += target.sizeBytes;
    if (this.#isFull()) await this.#flushIf(() => this.#isFull());
  }

  /** Publishes in time until the signal aborts; resolves when nothing is under way. Throws what a flush failed with. */
  async run(signal: AbortSignal): Promise<void> {
    this.#begun = true;
    const isDue = (): boolean => this.#isDue();
    while (await nextPoll(this.#parts.clock, signal)) if (isDue()) await this.#flushIf(isDue);
  }

  /** Publishes all that is queued by then, and saves what is written of unfinished objects. */
  flush(): Promise<void> {
    return this.#flushIf(() => true);
  }

  /** One more flush when the work ends early, unless nothing was begun or a flush has failed. Throws like `run`. */
  async last(): Promise<void> {
    if (this.#begun && !this.#failed) await this.flush();
  }

  /** Unless the flushes before it have made it needless. */
  async #flushIf(isNeeded: () => boolean): Promise<void> {
    this.#flushing = this.#flushing.then(async () => {
      if (isNeeded()) await this.#flush();
    });
    await this.#flushing;
  }

  #isFull(): boolean {
    const { everyBytes, everyObjects } = this.#parts.limits;
    return this.#batch.length >= everyObjects || this.#bytes >= everyBytes;
  }

  #isDue(): boolean {
    const { clock, limits, keeper } = this.#parts;
    const nowMs = clock.nowMs();
    if (this.#batch.length > 0 && nowMs - this.#oldestMs >= limits.everyMs) return true;
    const { hasProgress = false, urgent = false } = keeper?.unfinished ?? {};
    return (hasProgress || urgent) && this.#schedule.due(nowMs, this.#written(), urgent);
  }

  #written(): { readonly objects: number; readonly bytes: number } {
    return { objects: 0, bytes: this.#parts.plane.stats().writtenBytes };
  }

  async #flush(): Promise<void> {
    const { clock, sync, keeper } = this.#parts;
    const batch = this.#batch;
    this.#batch = [];
    this.#bytes = 0;
    const hasNews = keeper?.unfinished.takeSnapshot() === true;
    if (batch.length === 0 && !hasNews) return;
    this.#schedule.started(clock.nowMs(), this.#written());
    try {
      await sync();
      await this.#publish(batch);
      const open = keeper?.unfinished.told;
      if (keeper === undefined || open === undefined) return;
      await keeper.save(open);
      keeper.unfinished.saved();
    } catch (error) {
      this.#failed = true;
      throw error;
    } finally {
      this.#schedule.ended(clock.nowMs());
    }
  }

  async #publish(batch: readonly Staged[]): Promise<void> {
    if (batch.length === 0) return;
    const results = await this.#parts.plane.publish(batch.map(({ target }) => target));
    for (const [i, { done }] of batch.entries()) done(results[i]);
    // Whose name is taken has no use for its file, and the volume has removed it.
    this.#left ||= results.some((error) => error !== undefined && !isObjectsOwn(error));
    const fatal = results.find((error) => error !== undefined && !(error instanceof CopyError));
    if (fatal) throw fatal;
  }
}
