import type { CopyError } from "../errors.ts";
import type { ExistingFile, ObjectEntry } from "../types.ts";
import type { CopyOptions, CopyParts } from "./copy-run.ts";
import { servedVersions } from "./current-version.ts";
import type { Pages } from "./listing.ts";
import { archived, type CopyTask, needsProbe, Planner } from "./plan.ts";
import type { BoundedQueue } from "./queue.ts";
import { isObjectsOwn } from "./retry.ts";
import { SourceDigest } from "./source-digest.ts";

/** Whether a planned file is to be copied, given what stands at its path: a reason to skip it, an error, or neither. */
export type CopyDecision = (
  task: CopyTask,
  existing: ExistingFile | undefined,
) => { readonly skip: string } | { readonly fail: CopyError } | undefined;

/** Turns pages into queued tasks: selects, plans, compares with the target, and checks that everything fits. */
export class Feeder {
  readonly #queue: BoundedQueue<CopyTask>;
  readonly #planner: Planner;
  readonly #prefixLength: number;
  readonly #parts: CopyParts;
  readonly #options: CopyOptions;
  readonly #digest = new SourceDigest();
  #doomed = false;
  /** Whether archived objects can be read directly; undefined until one was tried. */
  #readsArchive: boolean | undefined;

  constructor(prefix: string, queue: BoundedQueue<CopyTask>, parts: CopyParts, options: CopyOptions) {
    this.#queue = queue;
    this.#planner = new Planner(prefix, parts.rules, options.sorted);
    this.#prefixLength = prefix.length;
    this.#parts = parts;
    this.#options = options;
  }

  /** Whether the listing alone showed enough failures; the rest is then listed only to report them together. */
  get doomed(): boolean {
    return this.#doomed;
  }

  digest(): string {
    return this.#digest.finish();
  }

  /** Reads the listing to its end and closes the queue. Throws CopyError when the listing fails or cannot fit. */
  async run(pages: Pages, signal: AbortSignal): Promise<void> {
    const { ledger, space, logger } = this.#parts;
    for await (const page of pages(signal)) {
      signal.throwIfAborted();
      const selected = page.entries.filter(({ key }) => this.#options.select(key.slice(this.#prefixLength)));
      for (const entry of selected) this.#digest.add(entry);
      const served = await this.#served(selected, signal);
      const planned = served.flatMap((entry) => this.#plan(entry));
      const tasks = await this.#undone(await this.#readable(planned, signal));
      this.#judge(); // also by keys that were looked up in vain
      if (this.#doomed) continue;
      for (const { task, existing } of tasks) space.claim(task, existing);
      for (const { task } of tasks) await this.#queue.put(task);
    }
    ledger.listingEnded();
    logger.info("listing complete", { ...ledger.counts.listed });
    this.#queue.close();
  }

  /** With links replaced by what they lead to; one that leads nowhere is its own failure. */
  async #served(entries: readonly ObjectEntry[], signal: AbortSignal): Promise<readonly ObjectEntry[]> {
    const served = await servedVersions(entries, this.#parts, signal);
    this.#parts.ledger.listed(served.map(({ entry }) => entry));
    for (const each of served) if (each.status === "lost") this.#refused(each.entry, each.error);
    return served.flatMap((each) => (each.status === "served" ? [each.entry] : []));
  }

  #plan(entry: ObjectEntry): CopyTask[] {
    const planned = this.#planner.plan(entry);
    switch (planned.status) {
      case "task":
        return [planned.task];
      case "nothing":
        this.#parts.ledger.copied(entry.key, 0, undefined);
        return [];
      case "refused":
        this.#refused(entry, planned.error);
        return [];
    }
  }

  #refused(entry: ObjectEntry, error: CopyError): void {
    const { ledger, logger } = this.#parts;
    if (this.#options.unsupported === "skip" && error.kind === "unsupported") {
      logger.warn("object skipped", { key: entry.key, reason: error.message });
      ledger.skipped(entry, error.message);
      return;
    }
    ledger.failed(entry, error);
    this.#judge();
  }

  #judge(): void {
    const { maxFailures } = this.#options;
    this.#doomed ||= maxFailures !== undefined && this.#parts.ledger.counts.failed.objects >= maxFailures;
  }

  /** Without archived objects. Direct reads are a setting of the bucket, so the first such object speaks for all. */
  async #readable(tasks: readonly CopyTask[], signal: AbortSignal): Promise<readonly CopyTask[]> {
    const doubtful = tasks.find(({ entry }) => needsProbe(entry));
    if (!doubtful) return tasks;
    this.#readsArchive ??= await this.#canRead(doubtful.entry, signal);
    if (this.#readsArchive) return tasks;
    for (const { entry } of tasks) if (needsProbe(entry)) this.#refused(entry, archived(entry));
    return tasks.filter(({ entry }) => !needsProbe(entry));
  }

  async #canRead(entry: ObjectEntry, signal: AbortSignal): Promise<boolean> {
    const { source, requests } = this.#parts;
    const kind = { operation: "get", what: entry.key, bodyBytes: 1, bufferBytes: 0 } as const;
    try {
      await requests.run(entry, kind, () => source.probe(entry, signal), signal);
      return true;
    } catch (error) {
      if (signal.aborted || !isObjectsOwn(error)) throw error;
      return error.kind !== "unsupported"; // gone or changed meanwhile: that is for the copy to find out
    }
  }

  /** Without those that stand at the target already, or whose place is taken. */
  async #undone(tasks: readonly CopyTask[]): Promise<{ task: CopyTask; existing: ExistingFile | undefined }[]> {
    const { decide } = this.#options;
    const { plane } = this.#parts;
    if (!decide || !plane || tasks.length === 0) return tasks.map((task) => ({ task, existing: undefined }));
    const found = await plane.inspect(tasks.map(({ target }) => target.path));
    return tasks.flatMap((task, i) => {
      const existing = found[i];
      const decision = decide(task, existing);
      if (!decision) return [{ task, existing }];
      if ("skip" in decision) this.#parts.ledger.skipped(task.entry, decision.skip);
      else this.#refused(task.entry, decision.fail);
      return [];
    });
  }
}
