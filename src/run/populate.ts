import type { Config } from "../config/config.ts";
import type { CheckpointState } from "../engine/checkpoint.ts";
import { compareAll } from "../engine/compare-run.ts";
import { CopyError } from "../errors.ts";
import { keepsUsOut } from "../volume/attributes.ts";
import { dropCheckpoint, saveCheckpoint } from "../volume/checkpoint-file.ts";
import { ListingComparison } from "../volume/compare.ts";
import type { Durability } from "../volume/durability.ts";
import { finishDirectories } from "../volume/finish-directories.ts";
import { readIdentity } from "../volume/identity.ts";
import type { OwnerRecord } from "../volume/owner-format.ts";
import { readOwnerRecord, removeState } from "../volume/owner-record.ts";
import { dropShownProgress, loadShownProgress, saveShownProgress } from "../volume/shown-progress.ts";
import { freeSpace } from "../volume/space.ts";
import { startOver } from "../volume/start-over.ts";
import type { PreparedTarget } from "../volume/target.ts";
import { Attempt, type AttemptNote } from "./attempt.ts";
import { connect } from "./connect.ts";
import { type CopySetup, copySelected, durabilityOf, openDataPlane } from "./copy.ts";
import { fingerprint } from "./fingerprint.ts";
import { holdTarget } from "./hold-target.ts";
import type { RunHost } from "./host.ts";
import { checkpointOf, type EarlierWork, goOn, keepLast, keepProgress } from "./resume.ts";
import { openSource, pathRules } from "./source.ts";
import type { RunState } from "./state.ts";

/** Fills a volume that nobody reads until it is done. `onAttempt` gets the attempt, to be released when all is noted. */
export async function runPopulate(
  config: Config,
  host: RunHost,
  state: RunState,
  onAttempt: (note: AttemptNote) => void,
): Promise<void> {
  await using held = new AsyncDisposableStack();
  const { target } = held.use(await holdTarget(config, host));
  const previous = await previousAttempt(config, host, target);
  const attempt = new Attempt(config, target, previous, held.move());
  onAttempt(attempt);
  state.firstStartedAt = previous?.firstStartedAt;
  // Nothing is written any more once the target is let go of.
  await using shown = state.shown;
  if (!previous) shown.begin(0);
  await using connection = await connect(config, host, state);
  const source = await openSource(config, connection, host, state);
  if (!previous && target.foreignNames.length > 0 && !config.target.allowNonEmpty) {
    await expectEqual(config, { connection, source, target }, host, state);
    return;
  }
  const durability = await durabilityOf(config, target);
  state.durability = durability.method;
  const from = config.dryRun
    ? undefined
    : await makeReady(config, host, state, { previous, target, source, durability });
  state.phase = "listing";
  const keepsUnfinished = attempt.startedEmpty && source.sorted && !config.dryRun;
  await using plane = openDataPlane(config, connection, target, durability, { keepsUnfinished });
  state.watch(plane);
  const { firstStartedAt } = attempt;
  let checkpointer = keepsUnfinished
    ? keepProgress(config, host, state, {
        plane,
        durability,
        firstStartedAt,
        from,
        save: (text) => saveCheckpoint(target.root, text),
      })
    : undefined;
  const begin = async (): Promise<void> => {
    await attempt.begin();
    if (config.output.ownerUid !== undefined) shown.keepBy((percent) => saveShownProgress(target.root, percent));
  };
  try {
    await copySelected(config, host, state, {
      connection,
      source,
      free: await freeSpace(target.root),
      plane,
      publisher: undefined,
      checkpointer,
      begin,
    });
    state.watch(undefined);
    if (config.dryRun) return;
    state.phase = "syncing";
    if (state.ledger.failureKinds.size > 0) {
      await keepLast(checkpointer, undefined, host);
      return;
    }
    // Directories that keep us out could not be gone on with: from here on a killed run starts over.
    if (keepsUsOut(config.target, readIdentity())) {
      checkpointer = undefined;
      await dropCheckpoint(target.root);
    }
    await finish(config, host, target, previous !== undefined, durability.method === "fsync");
    await plane.syncDirectories();
    await durability.sync(host.signal);
    await shown.forget();
    host.signal.throwIfAborted();
  } catch (error) {
    await keepLast(checkpointer, error, host);
    throw error;
  }
  // From here on a signal no longer changes the verdict: everything is in place and on stable storage.
  await removeState(target.root);
}

interface Beginning extends Omit<EarlierWork, "previous"> {
  readonly previous: OwnerRecord | undefined;
  readonly durability: Durability;
}

/** Leaves on the volume only what this run can build on: all that a checkpoint vouches for, or nothing of ours. */
async function makeReady(
  config: Config,
  host: RunHost,
  state: RunState,
  { previous, durability, ...rest }: Beginning,
): Promise<CheckpointState | undefined> {
  if (!previous) return undefined;
  const earlier = { ...rest, previous };
  const { root } = earlier.target;
  const from = await checkpointOf(config, host, earlier);
  if (from) {
    await goOn(from, earlier, durability, host);
    state.resumed = { fromMs: from.savedAtMs, copied: from.counts.copied };
    state.shown.begin(await loadShownProgress(root));
    state.ledger.resume(from.counts);
    return from;
  }
  state.shown.begin(0);
  await dropShownProgress(root);
  // Before its files: it must never vouch for what is gone.
  await dropCheckpoint(root);
  if (previous.startedEmpty) await startOver(root, previous, host.signal);
  return undefined;
}

/** What an earlier attempt at the same volume left, if it may be built on or removed. Throws CopyError `volume`. */
async function previousAttempt(
  config: Config,
  host: RunHost,
  target: PreparedTarget,
): Promise<OwnerRecord | undefined> {
  if (!target.hasStateDirectory) return undefined;
  const owner = await readOwnerRecord(target.root);
  if (owner.status === "absent") return undefined;
  if (owner.status !== "ours") throw new CopyError("volume", `${owner.reason}; nothing was changed`);
  tellOfEarlier(owner.record, config, host);
  return owner.record;
}

/** Tells the log what an earlier attempt at the same target left. */
export function tellOfEarlier(record: OwnerRecord, config: Config, host: RunHost): void {
  const last = record.lastFailure;
  host.logger.info("an earlier attempt left this volume unfinished", {
    attempts: record.attempts,
    firstStartedAt: record.firstStartedAt,
    source: record.source,
    sameWork: record.fingerprint === fingerprint(config),
    ...(last && { lastExitCode: last.exitCode, lastFailure: last.reason, failedInARow: last.inARow }),
  });
}

/** A volume that is full without our state: a run may have died after its last clean-up. Throws CopyError `volume`. */
async function expectEqual(
  config: Config,
  { connection, source, target }: Pick<CopySetup, "connection" | "source"> & { readonly target: PreparedTarget },
  host: RunHost,
  state: RunState,
): Promise<void> {
  state.phase = "listing";
  const comparison = new ListingComparison(target.root);
  const { unsupported } = config.target;
  const parts = { ...connection, rules: pathRules, ledger: state.ledger, comparison, unsupported };
  const { sourceDigest } = await compareAll(source, parts, host.signal);
  const { equal, differences } = await comparison.finish(host.signal);
  if (!equal) {
    const names = target.foreignNames.slice(0, 5).map((name) => JSON.stringify(name));
    throw new CopyError(
      "volume",
      `the target ${target.root} is not empty (it has ${names.join(", ")}) and is not what the source lists: ` +
        `${differences[0] ?? "it has other files"} (--allow-non-empty)`,
    );
  }
  state.sourceDigest = sourceDigest;
}

async function finish(
  { target: wanted }: Config,
  host: RunHost,
  { root, abilities }: PreparedTarget,
  resumed: boolean,
  fsync: boolean,
): Promise<void> {
  const madeSinceMs = wanted.allowNonEmpty ? abilities?.startedCtimeMs : undefined;
  const options = { root, attributes: wanted, chownRoot: wanted.chownRoot, resumed, madeSinceMs, fsync };
  await finishDirectories(options, host.signal);
}
