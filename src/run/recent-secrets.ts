/** Some renewals' worth: what was issued longer ago is in no answer any more. */
const mostKept = 16;

/** The latest secrets of a run, for whoever writes texts; a run of many days does not keep all of them. */
export class RecentSecrets {
  readonly #values = new Set<string>();

  /** Adds a value, or makes it the latest. */
  add(secret: string): void {
    this.#values.delete(secret);
    this.#values.add(secret);
    const [oldest] = this.#values;
    if (oldest !== undefined && this.#values.size > mostKept) this.#values.delete(oldest);
  }

  list(): readonly string[] {
    return [...this.#values];
  }
}
