import { CopyError } from "../errors.ts";
import type { Clock, DataPlane, FileTarget } from "../types.ts";

/** Staged files wait for a common sync this long at most, or until there are this many bytes or files. */
const mostWaitMs = 5_000;
const mostBytes = 256 * 2 ** 20;
const mostFiles = 2_000;

export interface PublisherParts {
  readonly plane: DataPlane;
  readonly sync: () => Promise<void>;
  readonly clock: Clock;
}

interface Staged {
  readonly target: FileTarget;
  readonly done: (error: unknown) => void;
}

/**
 * Gives staged files their time and name, in batches, after a sync that covers their bytes: a torn file must never carry
 * the size and time by which a later run would skip it.
 */
export class Publisher {
  readonly #parts: PublisherParts;
  #batch: Staged[] = [];
  #bytes = 0;
  #oldestMs = 0;
  #flushing: Promise<void> = Promise.resolve();

  constructor(parts: PublisherParts) {
    this.#parts = parts;
  }

  /** Queues a verified file; `done` is told how it went. Resolves when there is room for more. Throws a failed sync. */
  async add(target: FileTarget, done: (error: unknown) => void): Promise<void> {
    if (this.#batch.length === 0) this.#oldestMs = this.#parts.clock.nowMs();
    this.#batch.push({ target, done });
    this.#bytes += target.sizeBytes;
    if (this.#isDue()) await this.flush();
  }

  /** Publishes all that is queued. */
  async flush(): Promise<void> {
    const batch = this.#batch;
    this.#batch = [];
    this.#bytes = 0;
    const before = this.#flushing;
    this.#flushing = (async () => {
      await before;
      await this.#publish(batch);
    })();
    await this.#flushing;
  }

  #isDue(): boolean {
    const waitedMs = this.#parts.clock.nowMs() - this.#oldestMs;
    return this.#batch.length >= mostFiles || this.#bytes >= mostBytes || waitedMs >= mostWaitMs;
  }

  async #publish(batch: readonly Staged[]): Promise<void> {
    if (batch.length === 0) return;
    await this.#parts.sync();
    const results = await this.#parts.plane.publish(batch.map(({ target }) => target));
    for (const [i, { done }] of batch.entries()) done(results[i]);
    const fatal = results.find((error) => error !== undefined && !(error instanceof CopyError));
    if (fatal) throw fatal;
  }
}
