/** Waiting that ends when a signal aborts, without leaving listeners on signals that outlive it. */
import { Bag, type BagMember } from "./bag.ts";

/** What a signal can end. */
export interface Abortable extends BagMember {
  giveUp(reason: unknown): void;
}

/** One listener per signal, however many requests wait on it: a run's signal outlives them all. */
export class Aborts {
  readonly #waiting = new WeakMap<AbortSignal, Bag<Abortable>>();

  /** Gives `waiting` up when `signal` aborts, unless `remove` comes first. */
  add(signal: AbortSignal, waiting: Abortable): void {
    let bag = this.#waiting.get(signal);
    if (bag === undefined) {
      const created = new Bag<Abortable>();
      bag = created;
      this.#waiting.set(signal, created);
      const abort = (): void => {
        for (const each of created.snapshot()) each.giveUp(signal.reason);
      };
      signal.addEventListener("abort", abort, { once: true });
    }
    bag.add(waiting);
  }

  remove(signal: AbortSignal, waiting: Abortable): void {
    this.#waiting.get(signal)?.remove(waiting);
  }
}

/** `promise`, given up with the signal's reason when `signal` aborts; the work itself goes on for those who share it. */
export async function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await promise;
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
