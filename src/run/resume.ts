import { lstat } from "node:fs/promises";
import type { Config } from "../config/config.ts";
import { type CheckpointState, whyNotResume } from "../engine/checkpoint.ts";
import { parseCheckpoint } from "../engine/checkpoint-format.ts";
import { checkpointLimits } from "../engine/checkpoint-schedule.ts";
import { Checkpointer } from "../engine/checkpointer.ts";
import { PeriodicSync, type SyncPorts } from "../engine/periodic-sync.ts";
import { TooManyFailures } from "../engine/too-many-failures.ts";
import { CopyError, Interruption } from "../errors.ts";
import type { DataPlane } from "../types.ts";
import { loadCheckpoint } from "../volume/checkpoint-file.ts";
import type { Durability } from "../volume/durability.ts";
import type { OwnerRecord } from "../volume/owner-format.ts";
import { stateDirectory } from "../volume/path.ts";
import { pruneBeyond } from "../volume/prune.ts";
import { syncTree } from "../volume/sync-tree.ts";
import type { PreparedTarget } from "../volume/target.ts";
import { fingerprint } from "./fingerprint.ts";
import type { RunHost } from "./host.ts";
import type { SelectedSource } from "./source.ts";
import type { RunState } from "./state.ts";

export interface EarlierWork {
  readonly target: PreparedTarget;
  readonly previous: OwnerRecord;
  readonly source: SelectedSource;
}

/** The checkpoint to go on from; undefined, after saying why, where there is none. Throws CopyError `volume`. */
export async function checkpointOf(
  config: Config,
  host: RunHost,
  earlier: EarlierWork,
): Promise<CheckpointState | undefined> {
  const found = await findCheckpoint(config, earlier);
  if (typeof found === "string") {
    host.logger.info("starting over", { reason: found });
    return undefined;
  }
  const { savedAtMs, counts, open } = found;
  const savedAt = new Date(savedAtMs).toISOString();
  host.logger.info("resuming", { savedAt, copied: counts.copied.objects, open: open.length });
  return found;
}

/** The checkpoint, or one sentence that says why the run must not go on from it. */
async function findCheckpoint(config: Config, earlier: EarlierWork): Promise<CheckpointState | string> {
  const { previous, source, target } = earlier;
  if (!config.target.resume) return "--no-resume was given";
  if (!previous.startedEmpty) return "the volume did not begin empty";
  if (previous.fingerprint !== fingerprint(config)) return `the earlier work was another one (${previous.source})`;
  if (!source.sorted) return "what a list of keys selects is not resumed";
  if (await ignoresCase(target.root)) return "names on the target differ by more than their case only";
  const found = await usableCheckpoint(config, target.root);
  if (typeof found === "string" || isOf(found, config, source)) return found;
  return "the path was of another kind when the checkpoint was saved";
}

/** The checkpoint of this very work on the target, or one sentence that says why there is none to be trusted. */
export async function usableCheckpoint(config: Config, root: string): Promise<CheckpointState | string> {
  const text = await loadCheckpoint(root);
  if (text === undefined) return "the earlier attempt left no checkpoint";
  const loaded = parseCheckpoint(Buffer.from(text));
  if (loaded.status !== "ok") return loaded.reason;
  const { resumeWithinMs } = config.target;
  const wanted = { fingerprint: fingerprint(config), nowMs: Date.now(), resumeWithinMs };
  return whyNotResume(loaded.state, wanted) ?? loaded.state;
}

/** There another key may stand behind the name of one that is to be made anew. */
async function ignoresCase(root: string): Promise<boolean> {
  return lstat(`${root}/${stateDirectory.toUpperCase()}`).then(
    () => true,
    () => false,
  );
}

/** A path without a trailing slash may have become a directory since, or an object. */
function isOf({ frontier, open, digest }: CheckpointState, config: Config, source: SelectedSource): boolean {
  const positions = [frontier, digest.startAfter, ...open.map(({ position }) => position)];
  return positions.every((position) => {
    if (position === undefined) return true;
    if (typeof position === "number") return false;
    return source.kind === "object" ? position === config.source.path : position.startsWith(source.prefix);
  });
}

/** Removes what the checkpoint does not know of, so that the rest can go on. Throws CopyError `volume`. */
export async function goOn(
  from: CheckpointState,
  { target, source }: EarlierWork,
  { method }: Durability,
  host: RunHost,
): Promise<void> {
  const { root } = target;
  const relative = (position: string | number): string => position.toString().slice(source.prefix.length);
  const open = new Set(from.open.map(({ position }) => relative(position)));
  const options = {
    frontier: from.frontier === undefined ? undefined : relative(from.frontier),
    keep: (path: string) => open.has(path),
    selected: source.select,
  };
  const { files, directories } = await pruneBeyond(root, options, host.signal);
  host.logger.debug("removed what the checkpoint does not vouch for", { files, directories });
  if (method === "fsync") await syncTree(root, { what: "directories" }, host.signal);
}

export interface KeeperParts {
  readonly plane: DataPlane;
  readonly durability: Pick<Durability, "sync">;
  /** See `CheckpointPorts`. */
  readonly fits?: (text: string) => boolean;
  readonly save: (text: string) => Promise<void>;
  readonly firstStartedAt: string;
  readonly from: CheckpointState | undefined;
}

/** Keeps the progress of a populate on the target itself. */
export function keepProgress(config: Config, host: RunHost, state: RunState, parts: KeeperParts): Checkpointer {
  const { fits, save, firstStartedAt, from } = parts;
  return new Checkpointer({
    ports: {
      ...syncPorts(host, state, parts),
      ...(fits && { fits }),
      save,
      wallMs: () => Date.now(),
      onSaved: (tookMs, open) => host.logger.debug("checkpoint saved", { tookMs: Math.round(tookMs), open }),
    },
    limits: checkpointLimits(config.effort),
    fingerprint: fingerprint(config),
    firstStartedAt,
    from,
  });
}

/** Where no progress can be kept. */
export function keepSynced(
  config: Config,
  host: RunHost,
  state: RunState,
  parts: Pick<KeeperParts, "plane" | "durability">,
): PeriodicSync {
  return new PeriodicSync(syncPorts(host, state, parts), checkpointLimits(config.effort));
}

function syncPorts(
  { clock }: RunHost,
  { ledger }: RunState,
  { plane, durability, from }: Pick<KeeperParts, "plane" | "durability"> & Partial<KeeperParts>,
): SyncPorts {
  const earlierObjects = from ? from.counts.copied.objects + from.counts.skipped.objects : 0;
  return {
    sync: async () => {
      await plane.syncDirectories();
      await durability.sync();
    },
    done: () => {
      const { copied, skipped, failed } = ledger.counts;
      const objects = copied.objects + skipped.objects + failed.objects - earlierObjects;
      return { objects, bytes: plane.stats().writtenBytes };
    },
    clock,
  };
}

/** Whether an end leaves no doubts about the volume or about ourselves. */
export function isSafeToKeep(error: unknown): boolean {
  return (
    error === undefined ||
    error instanceof Interruption ||
    error instanceof TooManyFailures ||
    (error instanceof CopyError && error.kind !== "volume")
  );
}

/** A last checkpoint when the work ends early; not after what leaves doubts. */
export async function keepLast(
  keeper: { last(): Promise<void> } | undefined,
  error: unknown,
  host: RunHost,
): Promise<void> {
  if (!keeper || !isSafeToKeep(error)) return;
  try {
    await keeper.last();
  } catch (failure) {
    host.logger.warn("the target cannot keep how far this attempt came", { error: String(failure) });
  }
}
