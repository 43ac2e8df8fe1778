/** A disk that hangs must not take the metrics with it. */
const patienceMs = 1_000;

/**
 * The percentage that watchers of the metrics are shown. It survives a killed run: what is to be kept is kept before it is
 * shown, so that for a volume that is gone on with it never falls, whichever pod is asked.
 */
export class ShownProgress implements AsyncDisposable {
  #least: number | undefined;
  #kept = 0;
  #keeper: ((percent: number) => Promise<void>) | undefined;
  #keeping: Promise<void> | undefined;
  #showsKeptOnly = false;

  /** What may be shown from now on is at least `percent`, of an earlier run; until this is known nothing is. */
  begin(percent: number): void {
    this.#least = percent;
    this.#kept = percent;
  }

  /** From now on nothing but 100 is shown that `keeper` has not put where the next run finds it; one call at a time. */
  keepBy(keeper: (percent: number) => Promise<void>): void {
    this.#keeper = keeper;
    this.#showsKeptOnly = true;
  }

  /** The percentage to show where `percent` is reached; undefined when none may be shown yet, but the 100 of a success may. */
  async show(percent: number): Promise<number | undefined> {
    if (percent === 100) return percent;
    if (this.#least === undefined) return undefined;
    this.#least = Math.max(this.#least, percent);
    if (!this.#showsKeptOnly) return this.#least;
    await this.#keep(this.#least);
    return this.#kept;
  }

  /** Keeps nothing from now on; resolves when nothing is being kept any more. */
  async forget(): Promise<void> {
    this.#keeper = undefined;
    await this.#keeping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.forget();
  }

  async #keep(percent: number): Promise<void> {
    if (this.#keeping === undefined && this.#keeper !== undefined && percent > this.#kept) {
      this.#keeping = this.#keeper(percent)
        .then(() => {
          this.#kept = percent;
        })
        .catch(() => {}) // no room or no permission: what was kept before stays shown
        .finally(() => {
          this.#keeping = undefined;
        });
    }
    if (this.#keeping === undefined) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, patienceMs);
    await Promise.race([this.#keeping, promise]);
    clearTimeout(timer);
  }
}
