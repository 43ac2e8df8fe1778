import { DataThread } from "./data-thread.ts";

/**
 * The data threads of a run. Started before there is a plane for them, they come up while the source is being asked;
 * those that got none are ended here.
 */
export class DataThreads implements AsyncDisposable {
  readonly #count: number;
  #threads: readonly DataThread[] | undefined;

  constructor(count: number) {
    this.#count = count;
  }

  /** All of them, started unless they are already. */
  start(): readonly DataThread[] {
    this.#threads ??= Array.from({ length: this.#count }, () => new DataThread());
    return this.#threads;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#threads?.map((thread) => thread[Symbol.asyncDispose]()) ?? []);
  }
}
