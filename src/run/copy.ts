import type { Config } from "../config/config.ts";
import type { DataThreads } from "../data/data-threads.ts";
import type { OpenEntry } from "../engine/checkpoint.ts";
import { checkpointLimits } from "../engine/checkpoint-schedule.ts";
import type { Checkpointer } from "../engine/checkpointer.ts";
import { type CopyParts, copyAll } from "../engine/copy-run.ts";
import { createDecision } from "../engine/decide-copy.ts";
import type { CopyDecision } from "../engine/feeder.ts";
import type { PeriodicSync } from "../engine/periodic-sync.ts";
import type { PathRules } from "../engine/plan.ts";
import { Publisher } from "../engine/publisher.ts";
import { rangeBytes } from "../engine/range-size.ts";
import { SpaceBudget } from "../engine/space-budget.ts";
import { UnfinishedObjects } from "../engine/unfinished-objects.ts";
import type { DataPlane } from "../types.ts";
import type { CopyState } from "../volume/copy-state.ts";
import { chooseDurability, type Durability } from "../volume/durability.ts";
import { finishDirectories } from "../volume/finish-directories.ts";
import { type FreeSpace, freeSpace } from "../volume/space.ts";
import { type PreparedTarget, removeEarlierProbes } from "../volume/target.ts";
import { type Connection, connect } from "./connect.ts";
import { copyWorkOf } from "./fingerprint.ts";
import { holdTarget } from "./hold-target.ts";
import type { RunHost } from "./host.ts";
import { checkpointOfUnfinished, type Earlier, leaveCopy, takeUp } from "./keep-copy.ts";
import { openPlane, type PlaneOptions } from "./plane.ts";
import { keepLast } from "./resume.ts";
import { copyPathRules, nothingSelected, openSource, type SelectedSource } from "./source.ts";
import type { RunState } from "./state.ts";

/** Copies into a directory that people may be reading: staged, verified, synced, then named. */
export async function runCopy(config: Config, host: RunHost, state: RunState): Promise<void> {
  state.shown.begin(0);
  await using held = await holdTarget(config, host);
  const { target, copy } = held;
  let publisher: Publisher | undefined;
  try {
    await using connection = await connect(config, host, state);
    const source = await openSource(config, connection, host, state);
    const earlier = copy && (await takeUp(target.root, copy, host, state));
    const durability = await durabilityOf(config, target);
    state.durability = durability.method;
    state.phase = "listing";
    await using plane = target.exists
      ? openDataPlane(
          config,
          { connection, threads: state.threads, target, durability },
          { keepsUnfinished: true, placement: "staged" },
        )
      : undefined;
    state.watch(plane);
    const sync = async (): Promise<void> => {
      await plane?.syncDirectories();
      await durability.sync();
    };
    const save = copy && ((text: string) => copy.save(text));
    publisher = plane && openPublisher(config, host, { plane, sync, save, ...earlier });
    const rules = copyPathRules(copyWorkOf(config));
    const decide = target.exists ? createDecision(config.target) : undefined;
    const begin = async (): Promise<void> => {};
    try {
      const free = target.exists ? await freeSpace(target.root) : undefined;
      const parts = { connection, source, rules, free, plane, publisher, decide, begin };
      await copySelected(config, host, state, parts);
      state.phase = "syncing";
      if (!config.dryRun) await finishRoot(config, host, target, durability);
      await sync();
      host.signal.throwIfAborted();
    } catch (error) {
      // While there still is a plane to publish with.
      await keepLast(publisher, error, host);
      throw error;
    }
    state.watch(undefined);
  } catch (error) {
    await leaveCopy(copy, publisher, error, host);
    throw error;
  }
  // From here on a signal no longer changes the verdict: everything is in place and on stable storage.
  if (copy && publisher?.isEmpty) await leaveNothing(copy, target);
}

async function leaveNothing(copy: CopyState, { root, abilities }: PreparedTarget): Promise<void> {
  // Another shard may be testing the target at this very moment.
  if (abilities && copy.work.count === 1) await removeEarlierProbes(root, abilities.startedCtimeMs);
  await copy.remove();
}

export interface PublishingParts extends Partial<Earlier> {
  readonly plane: DataPlane;
  /** Resolves when what was written before the call is on stable storage. */
  readonly sync: () => Promise<void>;
  /** Puts a checkpoint on stable storage; undefined where no progress is kept. */
  readonly save: ((text: string) => Promise<void>) | undefined;
}

/** Names staged files, and keeps how far large objects are. */
export function openPublisher(config: Config, host: RunHost, parts: PublishingParts): Publisher {
  const { plane, sync, save, open, firstStartedAt = new Date().toISOString() } = parts;
  const { partBytes, limitBytesPerSecond } = config.effort;
  const keeper = save && {
    unfinished: new UnfinishedObjects(rangeBytes(partBytes, limitBytesPerSecond), open),
    save: (unfinished: readonly OpenEntry[]) => save(checkpointOfUnfinished(config, firstStartedAt, unfinished)),
  };
  return new Publisher({ plane, sync, clock: host.clock, limits: checkpointLimits(config.effort), keeper });
}

/** Directories get their attributes as they are made; a root that was there before only when that is asked for. */
async function finishRoot(
  { target: wanted }: Config,
  host: RunHost,
  { root }: PreparedTarget,
  { method }: Durability,
): Promise<void> {
  const options = { root, attributes: wanted, chownRoot: wanted.chownRoot, resumed: false, fsync: method === "fsync" };
  await finishDirectories(options, host.signal);
}

export interface CopySetup {
  readonly connection: Connection;
  readonly source: SelectedSource;
  readonly rules: PathRules;
  /** What is free at the target; undefined where nothing will be written. */
  readonly free: FreeSpace | undefined;
  /** Undefined in a dry run of a copy into a directory that does not exist yet. */
  readonly plane: DataPlane | undefined;
  readonly publisher: Publisher | undefined;
  readonly checkpointer?: Checkpointer | undefined;
  readonly syncing?: PeriodicSync | undefined;
  /** What to do with a file whose path may be taken; undefined copies everything. */
  readonly decide: CopyDecision | undefined;
  readonly begin: () => Promise<void>;
}

/** The part that `copy` and `populate` share: everything between the first page and the last file. */
export async function copySelected(config: Config, host: RunHost, state: RunState, setup: CopySetup): Promise<void> {
  const { connection, source, free, plane } = setup;
  const { effort } = config;
  const parts: CopyParts = {
    ...connection,
    plane,
    logger: host.logger,
    ledger: state.ledger,
    rules: setup.rules,
    space: new SpaceBudget(free),
    publisher: setup.publisher,
    checkpointer: setup.checkpointer,
    syncing: setup.syncing,
    begin: async () => {
      await setup.begin();
      state.phase = "copying";
    },
  };
  const { sourceDigest } = await copyAll(
    source.pages,
    source.prefix,
    parts,
    {
      select: source.select,
      share: source.share,
      sorted: source.sorted,
      unsupported: config.target.unsupported,
      maxFailures: effort.maxFailures,
      dryRun: config.dryRun,
      rangeBytes: rangeBytes(effort.partBytes, effort.limitBytesPerSecond),
      concurrency: effort.concurrency,
      retries: effort.retries,
      decide: setup.decide,
    },
    host.signal,
  );
  state.sourceDigest = sourceDigest;
  if (state.ledger.counts.listed.objects === 0)
    host.logger.warn("selection", { problem: nothingSelected(config.source) });
}

/** What a data plane of files is made from. */
export interface PlaneParts {
  readonly connection: Connection;
  readonly threads: DataThreads;
  readonly target: PreparedTarget;
  readonly durability: Durability;
}

export function openDataPlane(
  config: Config,
  { connection, threads, target, durability }: PlaneParts,
  options: Partial<Pick<PlaneOptions, "keepsUnfinished" | "placement" | "replaces">>,
): DataPlane {
  const usual = { keepsUnfinished: false, placement: "direct", replaces: true } as const;
  const { root, abilities } = target;
  const fsyncFiles = durability.method === "fsync";
  return openPlane(config, connection, threads, { ...usual, ...options, root, abilities, fsyncFiles });
}

export async function durabilityOf({ dryRun }: Config, { root, exists }: PreparedTarget): Promise<Durability> {
  return chooseDurability(root, { dryRun: dryRun || !exists });
}
