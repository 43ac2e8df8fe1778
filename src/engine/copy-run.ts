import type { CopyError } from "../errors.ts";
import type { Clock, DataPlane, Logger, ObjectSource } from "../types.ts";
import type { Admission } from "./admission.ts";
import type { Checkpointer } from "./checkpointer.ts";
import { type CopiedObject, copyObject } from "./copy-object.ts";
import { type CopyDecision, Feeder } from "./feeder.ts";
import type { Ledger } from "./ledger.ts";
import { clearLeftBehind } from "./left-behind.ts";
import type { Limiter } from "./limiter.ts";
import { LinkedAbort } from "./linked-abort.ts";
import type { Pages } from "./listing.ts";
import type { OpenObject, ProgressList } from "./open-list-object.ts";
import type { CopyTask, PathRules } from "./plan.ts";
import type { Publisher } from "./publisher.ts";
import { BoundedQueue } from "./queue.ts";
import type { Requests } from "./requests.ts";
import { isObjectsOwn } from "./retry.ts";
import type { SpaceBudget } from "./space-budget.ts";
import { TooManyFailures } from "./too-many-failures.ts";

export interface CopyParts {
  readonly source: ObjectSource;
  /** Undefined in a dry run whose target does not exist yet: nothing there to look at, nothing to write. */
  readonly plane: DataPlane | undefined;
  readonly requests: Requests;
  readonly admission: Admission;
  readonly limiter: Limiter | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly ledger: Ledger;
  readonly rules: PathRules;
  readonly space: SpaceBudget;
  /** Where files are staged before they get their names; undefined writes straight into the final names. */
  readonly publisher: Publisher | undefined;
  /** Keeps what another run needs to go on; undefined where none could. */
  readonly checkpointer?: Checkpointer | undefined;
  /** Called once, when all that can be foreseen is in order and before anything is written. */
  readonly begin: () => Promise<void>;
}

export interface CopyOptions {
  readonly select: (relative: string) => boolean;
  /** Whether an object is this process's; what is not counts only for the digest, and where its name is in the way. */
  readonly share: (key: string) => boolean;
  readonly unsupported: "fail" | "skip";
  readonly maxFailures: number | undefined;
  readonly dryRun: boolean;
  readonly rangeBytes: number;
  readonly concurrency: number;
  readonly retries: number;
  /** What to do with a task whose path may be taken; undefined copies everything. */
  readonly decide: CopyDecision | undefined;
  /** Whether entries come in key order. */
  readonly sorted: boolean;
}

/** Tasks that may be planned ahead: ten pages, so that smaller sources are known in full before the first byte. */
const lookahead = 10_000;
/** Objects of many ranges that are open at once: enough to spread writers over files, few enough to finish soon. */
export const largeAtOnce = 8;

/**
 * Copies what `pages` list. Every selected entry ends in the ledger exactly once, unless the run is cut short; throws
 * what cut it short (CopyError, TooManyFailures, the signal's reason, or a bug). Nothing is under way on return.
 */
export async function copyAll(
  pages: Pages,
  prefix: string,
  parts: CopyParts,
  options: CopyOptions,
  signal: AbortSignal,
): Promise<{ readonly sourceDigest: string }> {
  using stop = new LinkedAbort(signal);
  const queue = new BoundedQueue<CopyTask>(lookahead);
  const feeder = new Feeder(prefix, queue, parts, options);
  const feeding = feeder.run(pages, stop.signal).catch((error: unknown) => {
    stop.abort(error);
    queue.close({ error });
  });
  try {
    await queue.settled();
    if (!stop.signal.aborted && !options.dryRun && !feeder.doomed)
      await copyQueued(queue, feeder, parts, options, stop);
    if (options.dryRun || feeder.doomed) await drain(queue);
    await feeding;
    stop.signal.throwIfAborted();
    if (feeder.doomed) throw new TooManyFailures();
    await clearLeftBehind(prefix.length, parts);
    return { sourceDigest: feeder.digest() };
  } finally {
    stop.abort(new Error("the run has ended"));
    queue.close();
    await feeding;
  }
}

async function copyQueued(
  queue: BoundedQueue<CopyTask>,
  feeder: Feeder,
  parts: CopyParts,
  options: CopyOptions,
  stop: LinkedAbort,
): Promise<void> {
  const { plane, publisher, checkpointer } = parts;
  if (!plane) throw new Error("there is no data plane to copy with");
  await parts.begin();
  const list: ProgressList | undefined = checkpointer?.list ?? publisher?.unfinished;
  const run = new Workers({ ...parts, plane, list }, options, stop);
  const fail = (error: unknown): void => {
    stop.abort(error);
    queue.close({ error });
  };
  const next = async (): Promise<Work | undefined> => {
    if (feeder.doomed) return undefined;
    await list?.room(stop.signal);
    let open: OpenObject | undefined;
    const task = await queue.take(({ entry }) => {
      open = list?.handOut(entry);
    });
    return task && { task, open };
  };
  using keeping = new LinkedAbort(stop.signal);
  const keepers = [checkpointer, publisher].map((keeper) => keeper?.run(keeping.signal).catch(fail));
  await Promise.all(Array.from({ length: options.concurrency }, () => run.work(next).catch(fail)));
  keeping.abort(new Error("the work has ended"));
  await Promise.all(keepers);
  stop.signal.throwIfAborted();
  await publisher?.flush();
}

/** A dry run, and one that cannot succeed any more, only look at the rest of the listing. */
async function drain(queue: BoundedQueue<CopyTask>): Promise<void> {
  while (await queue.take()) {
    // looked at by the feeder already
  }
}

/** A task and its place on the open list, if there is one. */
interface Work {
  readonly task: CopyTask;
  readonly open: OpenObject | undefined;
}

type WorkerParts = CopyParts & { readonly plane: DataPlane; readonly list: ProgressList | undefined };

class Workers {
  readonly #parts: WorkerParts;
  readonly #options: CopyOptions;
  readonly #stop: LinkedAbort;
  readonly #objectParts;
  #large = 0;
  readonly #largeWaiting: (() => void)[] = [];

  constructor(parts: WorkerParts, options: CopyOptions, stop: LinkedAbort) {
    this.#parts = parts;
    this.#options = options;
    this.#stop = stop;
    const { rangeBytes, concurrency, retries } = options;
    this.#objectParts = { ...parts, rangeBytes, lanes: concurrency, restarts: retries };
  }

  async work(next: () => Promise<Work | undefined>): Promise<void> {
    const { signal } = this.#stop;
    for (let work = await next(); work && !signal.aborted; work = await next()) {
      if (work.task.entry.sizeBytes > this.#options.rangeBytes) await this.#copyLarge(work);
      else await this.#copy(work);
    }
  }

  async #copyLarge(work: Work): Promise<void> {
    while (this.#large >= largeAtOnce) await new Promise<void>((resolve) => this.#largeWaiting.push(resolve));
    this.#large++;
    try {
      await this.#copy(work);
    } finally {
      this.#large--;
      this.#largeWaiting.shift()?.();
    }
  }

  async #copy(work: Work): Promise<void> {
    const { plane, ledger, publisher, list } = this.#parts;
    const { task, open } = work;
    const { signal } = this.#stop;
    if (signal.aborted) return;
    const { entry, target } = task;
    try {
      if (task.kind === "directory") {
        await plane.makeDirectory(target.path);
        ledger.copied(entry.key, 0, undefined);
        open?.copied(0, undefined);
        return;
      }
      const tracked = list && open && { list, open };
      const copied = await copyObject(task, this.#objectParts, signal, tracked);
      if (publisher) await publisher.add(copied.target, (error) => this.#published(work, copied, error));
      else this.#copied(work, copied);
    } catch (error) {
      if (signal.aborted || !isObjectsOwn(error)) throw error;
      if (task.earlier && error.kind === "missing") await this.#gone(work);
      else this.#failed(work, error);
    }
  }

  #copied({ task, open }: Work, { target, verification }: CopiedObject): void {
    this.#parts.ledger.copied(task.entry.key, target.sizeBytes, verification);
    open?.copied(target.sizeBytes, verification);
  }

  #published(work: Work, copied: CopiedObject, error: unknown): void {
    if (error === undefined) this.#copied(work, copied);
    else if (isObjectsOwn(error)) {
      work.open?.reset(work.open.entry); // the volume has removed it
      this.#failed(work, error);
    } else this.#stop.abort(error);
  }

  /** An object that an earlier run listed: what that one left of it goes too. */
  async #gone({ task, open }: Work): Promise<void> {
    await this.#parts.plane.clearPlace(task.target);
    this.#parts.ledger.gone(task.entry);
    open?.dropped();
  }

  #failed({ task: { entry }, open }: Work, error: CopyError): void {
    const { ledger } = this.#parts;
    if (error.kind === "unsupported" && this.#options.unsupported === "skip") {
      ledger.skipped(entry, error.message);
      open?.skipped();
      return;
    }
    open?.failed();
    ledger.failed(entry, error);
    const { maxFailures } = this.#options;
    if (maxFailures !== undefined && ledger.counts.failed.objects >= maxFailures) {
      this.#stop.abort(new TooManyFailures());
    }
  }
}
