/** Waiting that ends when a signal aborts, without leaving listeners on signals that outlive it. */

/** One listener per signal, however many requests wait on it: a run's signal outlives them all. */
export class Aborts {
  readonly #waiting = new Map<AbortSignal, Set<(reason: unknown) => void>>();
  readonly #fire = (event: Event): void => {
    const signal = event.target;
    if (!(signal instanceof AbortSignal)) return;
    const callbacks = this.#waiting.get(signal);
    this.#waiting.delete(signal);
    for (const callback of callbacks ?? []) callback(signal.reason);
  };

  /** Calls back once when `signal` aborts, unless `remove` comes first. */
  add(signal: AbortSignal, callback: (reason: unknown) => void): void {
    const callbacks = this.#waiting.get(signal);
    if (callbacks !== undefined) {
      callbacks.add(callback);
      return;
    }
    this.#waiting.set(signal, new Set([callback]));
    signal.addEventListener("abort", this.#fire, { once: true });
  }

  remove(signal: AbortSignal, callback: (reason: unknown) => void): void {
    const callbacks = this.#waiting.get(signal);
    if (callbacks === undefined) return;
    callbacks.delete(callback);
    if (callbacks.size > 0) return;
    this.#waiting.delete(signal);
    signal.removeEventListener("abort", this.#fire);
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
