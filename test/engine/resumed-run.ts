import { expect } from "vitest";
import type { OpenListState } from "../../src/engine/checkpoint.ts";
import { missingRanges } from "../../src/engine/checkpoint-extents.ts";
import { stringifyCheckpoint } from "../../src/engine/checkpoint-format.ts";
import { OpenList } from "../../src/engine/open-list.ts";
import type { OpenObject } from "../../src/engine/open-list-object.ts";
import { TooManyFailures } from "../../src/engine/too-many-failures.ts";
import { turn } from "../support/fake-clock.ts";
import { blockBytes, blocksOf, canGoOn, type Thing, tag, type World } from "./resumed-world.ts";
import { wholeCrc64 } from "./whole-crc64.ts";

const capacity = 6;
const workers = 4;
const lookahead = 8;

interface Job {
  readonly thing: Thing;
  readonly object: OpenObject;
  stage: "taken" | "waiting" | "receiving" | "over";
  /** Blocks that are on the disk by the model's own count. */
  readonly done: Set<number>;
}

/** How often things go wrong; 0 is never. */
export interface Trouble {
  readonly fails: number;
  readonly corrupt: number;
  readonly changes: number;
}

/** One process: planning, workers and checkpoints, in steps of which any may be its last. */
export class Run {
  readonly #world: World;
  readonly #random: () => number;
  readonly #trouble: Trouble;
  readonly #list: OpenList;
  readonly #plan: Thing[];
  readonly #queue: Thing[] = [];
  readonly #jobs: Job[] = [];
  readonly #refused = new Set<string>();
  readonly #before: OpenListState | undefined;
  readonly #stop = new AbortController();
  #ended: (() => void) | undefined;

  constructor(world: World, random: () => number, trouble: Trouble) {
    this.#world = world;
    this.#random = random;
    this.#trouble = trouble;
    const before = world.loaded();
    this.#before = before;
    this.#list = new OpenList(capacity, before);
    const frontier = String(before?.frontier ?? "");
    const open = new Set(before?.open.map(({ entry }) => entry.key));
    for (const name of world.disk.names()) if (name > frontier && !open.has(name)) world.disk.unlink(name);
    const earlier = world.things.filter(({ key }) => open.has(key));
    this.#plan = [...earlier, ...world.things.filter(({ key }) => key > frontier)];
  }

  get counts(): OpenListState["counts"] | undefined {
    return this.#list.snapshot()?.counts;
  }

  /** Does something; false when there is nothing left to do. Throws TooManyFailures. */
  async step(): Promise<boolean> {
    const steps = [() => this.#planNext(), () => this.#take(), () => this.#work(), () => this.#work()];
    if (this.#random() < 0.2 || this.#list.urgent) await this.#checkpoint();
    if (this.#random() < this.#trouble.changes) this.#any(this.#world.things).version++;
    const chosen = Math.floor(this.#random() * steps.length);
    for (let i = 0; i < steps.length; i++) if (await steps[(chosen + i) % steps.length]?.()) return true;
    return this.#list.urgent;
  }

  /** Whether all ended well. */
  get isComplete(): boolean {
    return this.#list.size === 0;
  }

  /** The process is gone; whoever waited for something is, too. */
  kill(): void {
    this.#stop.abort(new Error("killed"));
  }

  #planNext(): boolean {
    if (this.#queue.length >= lookahead) return false;
    const thing = this.#plan.shift();
    if (!thing) return false;
    const entry = this.#world.entry(thing);
    if (thing.fate === "skipped") this.#list.passed(entry, "skipped");
    else if (thing.fate === "refused") {
      this.#list.refused(entry);
      this.#refused.add(thing.key);
    } else this.#queue.push(thing);
    return true;
  }

  async #take(): Promise<boolean> {
    const [thing] = this.#queue;
    if (!thing || this.#jobs.filter(({ stage }) => stage !== "over").length >= workers) return false;
    if (!(await this.#hasRoom())) return false;
    this.#queue.shift();
    const object = this.#list.handOut(this.#entryToTake(thing));
    const done = object.extents.flatMap(({ start, length }) => {
      return Array.from({ length: Math.ceil(length / blockBytes) }, (_, i) => start / blockBytes + i);
    });
    this.#jobs.push({ thing, object, stage: "taken", done: new Set(done) });
    expect(this.#list.size).toBeLessThanOrEqual(2 * capacity + workers);
    return true;
  }

  /** What an earlier run left is tried as it was listed then. */
  #entryToTake(thing: Thing) {
    return this.#before?.open.find(({ entry }) => entry.key === thing.key)?.entry ?? this.#world.entry(thing);
  }

  async #hasRoom(): Promise<boolean> {
    const enough = new AbortController();
    const room = this.#list.room(enough.signal).then(
      () => true,
      (error: unknown) => {
        if (error instanceof TooManyFailures) throw error;
        return false;
      },
    );
    await Promise.race([room, turn()]);
    enough.abort();
    return room;
  }

  #work(): boolean {
    const active = this.#jobs.filter(({ stage }) => stage === "taken" || stage === "receiving");
    if (active.length === 0) return false;
    const job = this.#any(active);
    if (this.#random() < this.#trouble.fails) this.#fail(job);
    else if (job.object.entry.sizeBytes <= 2 * blockBytes) this.#copyWhole(job);
    else if (job.stage === "taken") this.#open(job);
    else this.#receive(job);
    return true;
  }

  #fail(job: Job): void {
    job.stage = "over";
    job.object.failed();
    if (this.#random() < 0.5) this.#world.disk.unlink(job.thing.key);
  }

  #copyWhole(job: Job): void {
    const { key, sizeBytes, version } = job.thing;
    this.#world.disk.create(key);
    for (const [block, content] of blocksOf({ start: 0, length: sizeBytes }, version).entries()) {
      this.#world.disk.write(key, block, content);
    }
    this.#copied(job);
  }

  #copied(job: Job): void {
    job.stage = "over";
    job.object.copied(job.thing.sizeBytes, "crc64");
  }

  #open(job: Job): void {
    if (canGoOn(this.#world.disk.read(job.thing.key), job.object.extents)) job.stage = "receiving";
    else this.#startOver(job);
  }

  #startOver(job: Job): void {
    const { thing, object, done } = job;
    job.stage = "waiting";
    done.clear();
    this.#list.startOver(object, this.#world.entry(thing), this.#stop.signal).then(
      () => {
        job.stage = "receiving";
        this.#world.disk.create(thing.key);
      },
      () => {},
    );
  }

  #receive(job: Job): void {
    const { thing, object, done } = job;
    const { key, sizeBytes } = thing;
    const changed = object.entry.etag !== this.#world.entry(thing).etag;
    const missing = [...missingRanges(sizeBytes, (1 + Math.floor(this.#random() * 2)) * blockBytes, object.extents)];
    if (changed || missing.length === 0) {
      const right = this.#world.crcOf({ start: 0, length: sizeBytes }, (block) => tag(thing.version, block));
      if (!changed && wholeCrc64(object.extents, sizeBytes) === right) this.#copied(job);
      else this.#startOver(job);
      return;
    }
    const range = this.#any(missing);
    const first = range.start / blockBytes;
    const suffix = this.#random() < this.#trouble.corrupt ? " with a flipped bit" : "";
    const contents = blocksOf(range, thing.version).map((content) => content + suffix);
    for (const [i, content] of contents.entries()) this.#world.disk.write(key, first + i, content);
    if (this.#random() < 0.1) return; // written, but the process does not get to know
    object.extent({ ...range, crc64: this.#world.crcOf(range, (block) => contents[block - first] ?? "") });
    for (const i of contents.keys()) {
      expect(done.has(first + i)).toBe(false);
      done.add(first + i);
    }
  }

  /** One step on the way of a checkpoint: snapshot, end of the sync, the file. */
  async #checkpoint(): Promise<void> {
    if (this.#ended) {
      this.#ended();
      await turn(); // whoever waited for it goes on
      return;
    }
    const snapshot = this.#list.snapshot();
    if (!snapshot) return;
    this.#expectAsModel(snapshot);
    const text = stringifyCheckpoint({
      ...snapshot,
      fingerprint: "work",
      savedAtMs: 1,
      firstStartedAt: new Date(0).toISOString(),
      digest: { chain: "", startAfter: undefined },
    });
    const syncEnds = this.#world.disk.sync();
    this.#ended = () => {
      syncEnds();
      this.#ended = () => {
        this.#world.checkpoint = text;
        this.#list.saved();
        this.#ended = undefined;
      };
    };
  }

  /** Exactly what was handed out and is not settled is open, with exactly the blocks that were received. */
  #expectAsModel({ frontier, open, keysAscend }: OpenListState): void {
    const last = String(frontier ?? "");
    const taken = new Map(this.#jobs.map((job) => [job.thing.key, job]));
    const waiting = (this.#before?.open ?? []).filter(({ entry: { key } }) => {
      return !taken.has(key) && this.#world.things.some((thing) => thing.key === key && thing.fate !== "skipped");
    });
    const unsettled = this.#jobs.filter(({ object }) => object.stage !== "settled").map(({ thing }) => thing.key);
    const refused = [...this.#refused].filter((key) => key <= last);
    const expected = new Set([...waiting.map(({ entry }) => entry.key), ...unsettled, ...refused]);
    expect(keysAscend).toBe(true);
    expect(open.map(({ entry }) => entry.key)).toEqual([...expected].toSorted());
    for (const { entry, extents } of open) {
      const blocks = extents.reduce((sum, { length }) => sum + Math.ceil(length / blockBytes), 0);
      const job = taken.get(entry.key);
      if (job) expect(blocks).toBe(job.done.size);
    }
  }

  #any<T>(items: readonly T[]): T {
    const item = items[Math.floor(this.#random() * items.length)];
    if (item === undefined) throw new Error("there is nothing to choose from");
    return item;
  }
}
