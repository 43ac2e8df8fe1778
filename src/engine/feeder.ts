import type { CopyError } from "../errors.ts";
import type { ExistingFile, ObjectEntry } from "../types.ts";
import { ArchiveAccess } from "./archive.ts";
import type { CheckpointState } from "./checkpoint.ts";
import { comparePositions, type Position } from "./checkpoint-position.ts";
import type { CopyOptions, CopyParts } from "./copy-run.ts";
import { isLink, type Served, servedVersions } from "./current-version.ts";
import { ancestorsOf, beginningsOf, pathOf, standingFiles } from "./earlier-files.ts";
import type { Pages } from "./listing.ts";
import { archived, type CopyTask, needsProbe, Planner } from "./plan.ts";
import type { BoundedQueue } from "./queue.ts";
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
  readonly #prefix: string;
  readonly #prefixLength: number;
  readonly #parts: CopyParts;
  readonly #options: CopyOptions;
  readonly #digest: SourceDigest;
  /** Keys that an earlier run left open. */
  readonly #earlier: ReadonlySet<string>;
  #doomed = false;
  /** The last key listed, and whether each came after the one before. */
  #lastKey: string | undefined;
  #ascends = true;
  readonly #archive: ArchiveAccess;

  constructor(prefix: string, queue: BoundedQueue<CopyTask>, parts: CopyParts, options: CopyOptions) {
    this.#queue = queue;
    this.#planner = new Planner(prefix, parts.rules, options.sorted);
    this.#prefix = prefix;
    this.#prefixLength = prefix.length;
    this.#parts = parts;
    this.#archive = new ArchiveAccess(parts);
    this.#options = options;
    const { checkpointer } = parts;
    this.#digest = checkpointer?.digest ?? new SourceDigest();
    this.#earlier = new Set(checkpointer?.from?.open.map(({ entry }) => entry.key));
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
    const { ledger, logger, checkpointer } = this.#parts;
    const from = checkpointer?.from;
    if (from) await this.#resume(from, signal);
    // A checkpoint is resumed only where positions are keys.
    const startAfter = from?.digest.startAfter?.toString();
    this.#lastKey = startAfter;
    for await (const page of pages(signal, startAfter)) {
      signal.throwIfAborted();
      this.#watchOrder(page.entries);
      const selected = page.entries.filter(({ key }) => this.#options.select(key.slice(this.#prefixLength)));
      for (const entry of selected) this.#digest.add(entry);
      const own = selected.filter((entry) => this.#isOwn(entry, from?.frontier));
      await this.#feed(await this.#planPage(selected, own, await this.#served(own, signal)), signal);
    }
    ledger.listingEnded();
    logger.info("listing complete", { ...ledger.counts.listed });
    this.#queue.close();
  }

  /** What is behind the frontier of a checkpoint is known only where keys ascend: said while nothing of it was passed over. */
  #watchOrder(entries: readonly ObjectEntry[]): void {
    const { checkpointer, logger } = this.#parts;
    if (!checkpointer || !this.#ascends) return;
    for (const { key } of entries) {
      if (this.#lastKey !== undefined && comparePositions(key, this.#lastKey) <= 0) this.#ascends = false;
      this.#lastKey = key;
    }
    if (this.#ascends) return;
    checkpointer.list.outOfOrder();
    const problem = "keys do not come in ascending order: a later run could not go on from this one";
    logger.warn("listing", { problem });
  }

  /** The earlier run's open entries come first; then its listing goes on. */
  async #resume({ open, digest }: CheckpointState, signal: AbortSignal): Promise<void> {
    const { rules, plane } = this.#parts;
    if (!plane) throw new Error("there is no data plane to resume with");
    const parts = { rules, plane };
    const entries = open.map(({ entry }) => entry);
    const ancestors = new Set(entries.flatMap(({ key }) => ancestorsOf(key, this.#prefixLength)));
    const files = new Set(await standingFiles([...ancestors], this.#prefixLength, parts));
    for (const { key } of entries) if (ancestors.has(key)) files.add(key);
    const plannerOf = ({ key }: ObjectEntry): Planner => {
      const planner = new Planner(this.#prefix, rules, this.#options.sorted);
      for (const ancestor of ancestorsOf(key, this.#prefixLength)) if (files.has(ancestor)) planner.knowFile(ancestor);
      return planner;
    };
    const tasks: CopyTask[] = [];
    // What an earlier run could not plan may have been removed since, or restored.
    const isRefused = (entry: ObjectEntry): boolean => plannerOf(entry).plan(entry).status === "refused";
    const served = await servedVersions(await this.#served(entries, signal), this.#parts, signal, isRefused);
    for (const entry of await this.#found(served)) await this.#plan(entry, plannerOf(entry), tasks);
    await this.#feed(tasks, signal);
    if (digest.startAfter === undefined) return;
    const beginnings = beginningsOf(digest.startAfter.toString(), this.#prefixLength);
    const known = new Set(await standingFiles(beginnings, this.#prefixLength, parts));
    for (const key of beginnings) if (known.has(key) || this.#earlier.has(key)) this.#planner.knowFile(key);
  }

  /** Whether an entry is this process's, and not one that an earlier run of it has handed out. */
  #isOwn({ key }: ObjectEntry, frontier: Position | undefined): boolean {
    return (frontier === undefined || comparePositions(key, frontier) > 0) && this.#options.share(key);
  }

  async #feed(planned: readonly CopyTask[], signal: AbortSignal): Promise<void> {
    const replaced = new Map<CopyTask, ExistingFile>();
    const tasks = await this.#undone(await this.#readable(planned, signal), replaced);
    this.#judge(); // also by keys that were looked up in vain
    if (this.#doomed) return;
    // What an earlier run left of its open files is not counted as free: they cannot be asked to fit once more.
    for (const task of tasks) if (!this.#hasRoom(task)) this.#parts.space.claim(task, replaced.get(task));
    for (const task of tasks) {
      const room = this.#queue.put(task);
      if (room !== undefined) await room;
    }
  }

  #hasRoom({ earlier = false, entry }: CopyTask): boolean {
    return earlier || this.#parts.publisher?.unfinished?.waitsFor(entry) === true;
  }

  /** With links replaced by what they lead to; one that leads nowhere is its own failure. */
  async #served(entries: readonly ObjectEntry[], signal: AbortSignal): Promise<readonly ObjectEntry[]> {
    if (!entries.some(isLink)) {
      this.#parts.ledger.listed(entries);
      return entries;
    }
    const served = await servedVersions(entries, this.#parts, signal);
    this.#parts.ledger.listed(served.map(({ entry }) => entry));
    return this.#found(served);
  }

  async #found(served: readonly Served[]): Promise<readonly ObjectEntry[]> {
    for (const each of served) if (each.status === "lost") await this.#refused(each.entry, each.error);
    return served.flatMap((each) => (each.status === "served" ? [each.entry] : []));
  }

  /** Plans those of `own` that are served; of what others copy only the names matter. */
  async #planPage(
    listed: readonly ObjectEntry[],
    own: readonly ObjectEntry[],
    served: readonly ObjectEntry[],
  ): Promise<CopyTask[]> {
    const tasks: CopyTask[] = [];
    let nextOwn = 0;
    let nextServed = 0;
    for (const entry of listed) {
      if (entry !== own[nextOwn]) {
        this.#planner.plan(entry);
        continue;
      }
      nextOwn++;
      const version = served[nextServed];
      if (version?.key !== entry.key) continue;
      nextServed++;
      const refusal = this.#plan(version, this.#planner, tasks);
      if (refusal !== undefined) await refusal;
    }
    return tasks;
  }

  /** Adds the entry's task; what is none is dealt with, at once but for a refusal, which is awaited. */
  #plan(entry: ObjectEntry, planner: Planner, tasks: CopyTask[]): Promise<void> | undefined {
    const { ledger, checkpointer } = this.#parts;
    const planned = planner.plan(entry);
    if (planned.status === "task") {
      // Most runs have no earlier one, and no hash of each key to pay for.
      const isEarlier = this.#earlier.size > 0 && this.#earlier.has(entry.key);
      tasks.push(isEarlier ? { ...planned.task, earlier: true } : planned.task);
      return undefined;
    }
    if (planned.status === "refused") return this.#refused(entry, planned.error);
    ledger.copied(entry.key, 0, undefined);
    checkpointer?.list.passed(entry, "copied");
    return undefined;
  }

  async #refused(entry: ObjectEntry, error: CopyError): Promise<void> {
    const { ledger, logger, checkpointer } = this.#parts;
    if (this.#earlier.has(entry.key) && error.kind === "missing") {
      await this.#clear(entry);
      ledger.gone(entry);
      checkpointer?.list.dropped(entry.key);
      return;
    }
    if (this.#options.unsupported === "skip" && error.kind === "unsupported") {
      logger.warn("object skipped", { key: entry.key, reason: error.message });
      await this.#clear(entry);
      ledger.skipped(entry, error.message);
      checkpointer?.list.passed(entry, "skipped");
      return;
    }
    ledger.failed(entry, error);
    checkpointer?.list.refused(entry);
    this.#judge();
  }

  /** Removes what an earlier run may have left of an entry that is to have no file any more. */
  async #clear(entry: ObjectEntry): Promise<void> {
    const { plane, rules } = this.#parts;
    const path = this.#earlier.has(entry.key) ? pathOf(entry.key.slice(this.#prefixLength), rules) : undefined;
    if (!plane || path === undefined) return;
    const { sizeBytes, modifiedMs } = entry;
    await plane.clearPlace({ path, sizeBytes, modifiedMs, version: rules.versionOf(entry) });
  }

  #judge(): void {
    const { maxFailures } = this.#options;
    this.#doomed ||= maxFailures !== undefined && this.#parts.ledger.counts.failed.objects >= maxFailures;
  }

  /** Without archived objects that cannot be read. */
  async #readable(tasks: readonly CopyTask[], signal: AbortSignal): Promise<readonly CopyTask[]> {
    if (!tasks.some(({ entry }) => needsProbe(entry))) return tasks;
    const readable: CopyTask[] = [];
    for (const task of tasks) {
      if (await this.#archive.refuses(task.entry, signal)) await this.#refused(task.entry, archived(task.entry));
      else readable.push(task);
    }
    return readable;
  }

  /** Without those that stand at the target already, or whose place is taken; notes what the others replace. */
  async #undone(tasks: readonly CopyTask[], replaced: Map<CopyTask, ExistingFile>): Promise<readonly CopyTask[]> {
    const { decide } = this.#options;
    const { plane } = this.#parts;
    if (!decide || !plane || tasks.length === 0) return tasks;
    const found = await plane.inspect(tasks.map(({ target }) => target.path));
    const undone: CopyTask[] = [];
    for (const [i, task] of tasks.entries()) {
      const existing = found[i];
      const decision = decide(task, existing);
      if (!decision) {
        undone.push(task);
        if (existing) replaced.set(task, existing);
      } else if ("skip" in decision) this.#parts.ledger.skipped(task.entry, decision.skip);
      else await this.#refused(task.entry, decision.fail);
    }
    return undone;
  }
}
