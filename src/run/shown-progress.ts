/**
 * The percentage that watchers of the metrics have been shown. It survives a killed run, so that for a volume that is gone
 * on with it never falls, whichever pod is asked.
 */
export class ShownProgress implements AsyncDisposable {
  #least: number | undefined;
  #saved = 0;
  #save: ((percent: number) => Promise<void>) | undefined;
  #saving: Promise<void> | undefined;

  /** What may be shown from now on is at least `percent`, of an earlier run; until this is known nothing is. */
  begin(percent: number): void {
    this.#least = percent;
    this.#saved = percent;
  }

  /** From now on what is shown is kept by `save`, one call at a time. Its failures are nobody's concern. */
  keepBy(save: (percent: number) => Promise<void>): void {
    this.#save = save;
  }

  /** The percentage to show where `percent` is reached; undefined when none may be shown yet. */
  show(percent: number): number | undefined {
    if (this.#least === undefined) return undefined;
    this.#least = Math.max(this.#least, percent);
    this.#keep();
    return this.#least;
  }

  /** Keeps nothing from now on; resolves when nothing is being saved any more. */
  async forget(): Promise<void> {
    this.#save = undefined;
    await this.#saving;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.forget();
  }

  #keep(): void {
    const percent = this.#least ?? 0;
    if (this.#save === undefined || this.#saving !== undefined || percent <= this.#saved) return;
    this.#saved = percent;
    this.#saving = this.#save(percent)
      .catch(() => {})
      .finally(() => {
        this.#saving = undefined;
      });
  }
}
