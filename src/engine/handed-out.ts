import type { Feeder } from "./feeder.ts";
import type { OpenObject, ProgressList } from "./open-list-object.ts";
import type { CopyTask } from "./plan.ts";
import type { BoundedQueue } from "./queue.ts";

/** A task and its place on the open list, if there is one. */
export interface Work {
  readonly task: CopyTask;
  readonly open: OpenObject | undefined;
}

/** The tasks of the queue; each gets its place on the list, if there is one, in the turn in which it leaves the queue. */
export class HandedOut {
  readonly #queue: BoundedQueue<CopyTask>;
  readonly #feeder: Pick<Feeder, "doomed">;
  readonly #list: ProgressList | undefined;
  readonly #signal: AbortSignal;

  constructor(
    queue: BoundedQueue<CopyTask>,
    feeder: Pick<Feeder, "doomed">,
    list: ProgressList | undefined,
    signal: AbortSignal,
  ) {
    this.#queue = queue;
    this.#feeder = feeder;
    this.#list = list;
    this.#signal = signal;
  }

  /** The next task if it can be had at once; undefined does not mean the end. Throws what the queue was closed with. */
  now(): Work | undefined {
    const list = this.#list;
    if (this.#feeder.doomed || (list && !list.hasRoom)) return undefined;
    let open: OpenObject | undefined;
    const task = this.#queue.takeNow(({ entry }) => {
      open = list?.handOut(entry);
    });
    return task && { task, open };
  }

  /** Waits for the next task; undefined is the end. Throws like `now`, and the signal's reason. */
  async next(): Promise<Work | undefined> {
    const list = this.#list;
    if (this.#feeder.doomed) return undefined;
    await list?.room(this.#signal);
    let open: OpenObject | undefined;
    const task = await this.#queue.take(({ entry }) => {
      open = list?.handOut(entry);
    });
    return task && { task, open };
  }
}
