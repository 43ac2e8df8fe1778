import type { Config } from "../config/config.ts";
import type { Checkpointer } from "../engine/checkpointer.ts";
import { type CopyParts, copyAll } from "../engine/copy-run.ts";
import { createDecision } from "../engine/decide-copy.ts";
import type { PeriodicSync } from "../engine/periodic-sync.ts";
import { Publisher } from "../engine/publisher.ts";
import { rangeBytes } from "../engine/range-size.ts";
import { SpaceBudget } from "../engine/space-budget.ts";
import type { DataPlane } from "../types.ts";
import { chooseDurability, type Durability } from "../volume/durability.ts";
import { finishDirectories } from "../volume/finish-directories.ts";
import { freeSpace } from "../volume/space.ts";
import type { PreparedTarget } from "../volume/target.ts";
import { type Connection, connect } from "./connect.ts";
import { holdTarget } from "./hold-target.ts";
import type { RunHost } from "./host.ts";
import { openPlane } from "./plane.ts";
import { openSource, pathRules, type SelectedSource, stagedRules } from "./source.ts";
import type { RunState } from "./state.ts";

/** Copies into a directory that people may be reading: staged, verified, synced, then named. */
export async function runCopy(config: Config, host: RunHost, state: RunState): Promise<void> {
  await using held = await holdTarget(config, host);
  const { target } = held;
  await using connection = await connect(config, host, state);
  const source = await openSource(config, connection, host, state);
  const durability = await durabilityOf(config, target);
  state.durability = durability.method;
  state.phase = "listing";
  await using plane = target.exists ? openDataPlane(config, connection, target, durability) : undefined;
  state.watch(plane);
  const sync = async (): Promise<void> => {
    await plane?.syncDirectories();
    await durability.sync(host.signal);
  };
  await copySelected(config, host, state, {
    connection,
    source,
    target,
    plane,
    publisher: plane && new Publisher({ plane, sync, clock: host.clock }),
    begin: async () => {},
  });
  state.phase = "syncing";
  if (!config.dryRun) await finishRoot(config, host, target, durability);
  await sync();
  state.watch(undefined);
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
  readonly target: PreparedTarget;
  /** Undefined in a dry run of a copy into a directory that does not exist yet. */
  readonly plane: DataPlane | undefined;
  readonly publisher: Publisher | undefined;
  readonly checkpointer?: Checkpointer | undefined;
  readonly syncing?: PeriodicSync | undefined;
  readonly begin: () => Promise<void>;
}

/** The part that `copy` and `populate` share: everything between the first page and the last file. */
export async function copySelected(config: Config, host: RunHost, state: RunState, setup: CopySetup): Promise<void> {
  const { connection, source, target, plane } = setup;
  const { effort } = config;
  const parts: CopyParts = {
    ...connection,
    plane,
    logger: host.logger,
    ledger: state.ledger,
    rules: config.verb === "copy" ? stagedRules : pathRules,
    space: new SpaceBudget(target.exists ? await freeSpace(target.root) : undefined),
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
      sorted: source.sorted,
      unsupported: config.target.unsupported,
      maxFailures: effort.maxFailures,
      dryRun: config.dryRun,
      rangeBytes: rangeBytes(effort.partBytes, effort.limitBytesPerSecond),
      concurrency: effort.concurrency,
      retries: effort.retries,
      decide: config.verb === "copy" && target.exists ? createDecision(config.target) : undefined,
    },
    host.signal,
  );
  state.sourceDigest = sourceDigest;
}

export function openDataPlane(
  config: Config,
  connection: Connection,
  { root, abilities }: PreparedTarget,
  { method }: Durability,
  { keepsUnfinished = false } = {},
): DataPlane {
  return openPlane(config, connection, { root, abilities, fsyncFiles: method === "fsync", keepsUnfinished });
}

export async function durabilityOf({ dryRun }: Config, { root, exists }: PreparedTarget): Promise<Durability> {
  return chooseDurability(root, { dryRun: dryRun || !exists });
}
