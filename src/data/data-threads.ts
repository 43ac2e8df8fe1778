import { DataThread } from "./data-thread.ts";

/**
 * The data threads of a run. Started before there is a plane for them, they come up while target and source are looked
 * at; those that got none are ended here.
 */
export class DataThreads implements AsyncDisposable {
  readonly #threads: DataThread[] = [];

  /** So many of them, started unless they are already; never fewer than before. */
  start(count: number): readonly DataThread[] {
    while (this.#threads.length < count) this.#threads.push(new DataThread());
    return this.#threads;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread[Symbol.asyncDispose]()));
  }
}
