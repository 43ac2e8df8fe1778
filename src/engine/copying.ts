import pLimit from "p-limit";
import { CopyError } from "../errors.ts";
import type { DataPlane } from "../types.ts";
import { type CopiedObject, copyObject } from "./copy-object.ts";
import type { CopyOptions, CopyParts } from "./copy-run.ts";
import type { HandedOut, Work } from "./handed-out.ts";
import type { LinkedAbort } from "./linked-abort.ts";
import type { ProgressList } from "./open-list-object.ts";
import { isObjectsOwn } from "./retry.ts";
import { TooManyFailures } from "./too-many-failures.ts";
import { isWhole, WholeObjects } from "./whole-objects.ts";

type CopyingParts = CopyParts & { readonly plane: DataPlane; readonly list: ProgressList | undefined };

/** Objects of many ranges that are open at once: enough to spread writers over files, few enough to finish soon. */
export const largeAtOnce = 8;
/** Objects of one range each that have a file of their own: as many as there are buffers for by default, and some that open theirs. */
const singleAtOnce = 32;

/**
 * Takes tasks in their order and brings each to its end. The first attempt of a whole object is one of a batch; objects of
 * many ranges, directories, and whatever failed once are each worked on alone, `concurrency` of them at most.
 */
export class Copying {
  readonly #parts: CopyingParts;
  readonly #options: CopyOptions;
  readonly #stop: LinkedAbort;
  readonly #objectParts;
  readonly #wholes: WholeObjects<Work>;
  #open = 0;
  #alone = 0;
  #changed: (() => void)[] = [];
  readonly #large = pLimit(largeAtOnce);
  readonly #single = pLimit(singleAtOnce);

  constructor(parts: CopyingParts, options: CopyOptions, stop: LinkedAbort) {
    this.#parts = parts;
    this.#options = options;
    this.#stop = stop;
    const { rangeBytes, concurrency, retries } = options;
    this.#objectParts = { ...parts, rangeBytes, lanes: concurrency, restarts: retries };
    const ends = {
      copied: (work: Work, copied: CopiedObject) => this.#end(work, copied),
      failed: (work: Work, error: unknown) => this.#retry(work, error),
    };
    this.#wholes = new WholeObjects(this.#objectParts, ends, stop.signal);
  }

  /** Begins everything that `tasks` hands out; throws what ended that. */
  async run(tasks: HandedOut): Promise<void> {
    const { signal } = this.#stop;
    try {
      while (!signal.aborted) {
        const work = tasks.now() ?? (await this.#next(tasks));
        if (!work) break;
        await this.#begin(work);
      }
    } finally {
      this.#wholes.flush(); // what was added comes to its end, whatever happened
    }
  }

  #next(tasks: HandedOut): Promise<Work | undefined> {
    this.#wholes.flush();
    return tasks.next();
  }

  /** Resolves when nothing is under way any more. */
  async ended(): Promise<void> {
    while (this.#open > 0) await this.#change();
  }

  async #begin(work: Work): Promise<void> {
    this.#open++;
    if (this.#isFresh(work)) {
      try {
        await this.#wholes.add(work);
      } catch (error) {
        this.#close(error);
      }
    } else {
      void this.#settle(this.#workAlone(work));
    }
    // What failed or waits to be published adds to these: without a bound here, all objects could.
    if (this.#alone < this.#options.concurrency) return;
    this.#wholes.flush();
    while (this.#alone >= this.#options.concurrency) await this.#change();
  }

  /** Whether a whole object needs no look at what an earlier run may have left of it. */
  #isFresh({ task: { kind, entry, earlier }, open }: Work): boolean {
    return kind === "file" && !earlier && !open?.extents.length && isWhole(entry, this.#objectParts);
  }

  #end(work: Work, copied: CopiedObject): void {
    if (this.#parts.publisher) {
      void this.#settle(this.#counted(() => this.#finish(work, copied)));
      return;
    }
    this.#copied(work, copied);
    this.#close();
  }

  #retry(work: Work, error: unknown): void {
    if (!(error instanceof CopyError) || this.#stop.signal.aborted) this.#close(error);
    else void this.#settle(this.#workAlone(work, error));
  }

  async #settle(end: Promise<void>): Promise<void> {
    try {
      await end;
      this.#close();
    } catch (error) {
      this.#close(error);
    }
  }

  /** A task is through, or `error` ends the run. */
  #close(error?: unknown): void {
    if (error !== undefined) this.#stop.abort(error);
    this.#open--;
    this.#wake();
  }

  #workAlone(work: Work, earlier?: CopyError): Promise<void> {
    const copy = (): Promise<void> => this.#copy(work, earlier);
    const { kind, entry } = work.task;
    if (kind !== "file" || isWhole(entry, this.#objectParts)) return this.#counted(copy);
    const turns = entry.sizeBytes > this.#options.rangeBytes ? this.#large : this.#single;
    return this.#counted(() => turns(copy));
  }

  async #counted(work: () => Promise<void>): Promise<void> {
    this.#alone++;
    try {
      await work();
    } finally {
      this.#alone--;
    }
  }

  async #copy(work: Work, earlier: CopyError | undefined): Promise<void> {
    const { plane, ledger, list } = this.#parts;
    const { task, open } = work;
    const { signal } = this.#stop;
    if (signal.aborted) return;
    try {
      if (task.kind === "directory") {
        await plane.makeDirectory(task.target.path);
        ledger.copied(task.entry.key, 0, undefined);
        open?.copied(0, undefined);
        return;
      }
      const tracked = list && open && { list, open };
      await this.#finish(work, await copyObject(task, this.#objectParts, signal, tracked, earlier));
    } catch (error) {
      if (signal.aborted || !isObjectsOwn(error)) throw error;
      if (task.earlier && error.kind === "missing") await this.#gone(work);
      else this.#failed(work, error);
    }
  }

  /** A verified object; where files are staged it counts when it has its name. */
  async #finish(work: Work, copied: CopiedObject): Promise<void> {
    const { publisher } = this.#parts;
    if (publisher) await publisher.add(copied.target, (error) => this.#published(work, copied, error));
    else this.#copied(work, copied);
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

  #change(): Promise<void> {
    return new Promise((resolve) => this.#changed.push(resolve));
  }

  #wake(): void {
    for (const resolve of this.#changed.splice(0)) resolve();
  }
}
