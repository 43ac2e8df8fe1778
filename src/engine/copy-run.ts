import type { Clock, DataPlane, Logger, ObjectSource } from "../types.ts";
import type { Admission } from "./admission.ts";
import type { Checkpointer } from "./checkpointer.ts";
import { Copying } from "./copying.ts";
import { type CopyDecision, Feeder } from "./feeder.ts";
import { HandedOut } from "./handed-out.ts";
import type { Ledger } from "./ledger.ts";
import { clearLeftBehind } from "./left-behind.ts";
import type { Limiter } from "./limiter.ts";
import { LinkedAbort } from "./linked-abort.ts";
import type { Pages } from "./listing.ts";
import type { PeriodicSync } from "./periodic-sync.ts";
import type { CopyTask, PathRules } from "./plan.ts";
import type { Publisher } from "./publisher.ts";
import { BoundedQueue } from "./queue.ts";
import type { Requests } from "./requests.ts";
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
  /** Syncs the volume meanwhile where neither a checkpointer nor a publisher does. */
  readonly syncing?: PeriodicSync | undefined;
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
    // A dry run lets go of each task at once: entries that die young cost no collection.
    if (!options.dryRun) await queue.settled();
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
  const list = checkpointer?.list ?? publisher?.unfinished;
  stop.signal.addEventListener("abort", () => queue.close({ error: stop.signal.reason }), { once: true });
  const fail = (error: unknown): void => stop.abort(error);
  const tasks = new HandedOut(queue, feeder, list, stop.signal);
  const copying = new Copying({ ...parts, plane, list }, options, stop);
  using keeping = new LinkedAbort(stop.signal);
  const keepers = [checkpointer, publisher, parts.syncing].map((keeper) => keeper?.run(keeping.signal).catch(fail));
  await copying.run(tasks).catch(fail);
  await copying.ended();
  keeping.abort(new Error("the work has ended"));
  await Promise.all(keepers);
  stop.signal.throwIfAborted();
  await publisher?.flush();
}

/** A dry run, and one that cannot succeed any more, only look at the rest of the listing. */
async function drain(queue: BoundedQueue<CopyTask>): Promise<void> {
  while (queue.takeNow() ?? (await queue.take())) {
    // looked at by the feeder already
  }
}
