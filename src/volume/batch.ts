/** Calls on their way to the thread pool, a few at once. A failure is kept until somebody waits: meanwhile it is nobody's. */
export class Batch {
  readonly #most: number;
  #running: Promise<{ readonly error: unknown } | undefined>[] = [];

  constructor(most: number) {
    this.#most = most;
  }

  /** Waits once `most` are under way. Throws the first failure, when all of these have ended. */
  async add(call: Promise<void>): Promise<void> {
    const ended = (): undefined => undefined;
    this.#running.push(call.then(ended, (error: unknown) => ({ error })));
    if (this.#running.length >= this.#most) await this.end();
  }

  /** Waits for all, then throws the first failure. */
  async end(): Promise<void> {
    const running = this.#running;
    this.#running = [];
    for (const failure of await Promise.all(running)) if (failure) throw failure.error;
  }
}
