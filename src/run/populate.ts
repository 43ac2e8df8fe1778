import type { Config } from "../config/config.ts";
import type { CheckpointState } from "../engine/checkpoint.ts";
import { compareAll } from "../engine/compare-run.ts";
import { Ledger } from "../engine/ledger.ts";
import { CopyError } from "../errors.ts";
import { Tally } from "../observe/tally.ts";
import type { DataPlane } from "../types.ts";
import { keepsUsOut } from "../volume/attributes.ts";
import { dropCheckpoint, saveCheckpoint } from "../volume/checkpoint-file.ts";
import { ListingComparison } from "../volume/compare.ts";
import { finishDirectories } from "../volume/finish-directories.ts";
import { readIdentity } from "../volume/identity.ts";
import type { OwnerRecord } from "../volume/owner-format.ts";
import { expectRecord, type FoundOwner, readOwnerRecord, removeState } from "../volume/owner-record.ts";
import { dropShownProgress, loadShownProgress, saveShownProgress } from "../volume/shown-progress.ts";
import { freeSpace } from "../volume/space.ts";
import { startOver } from "../volume/start-over.ts";
import { syncTree } from "../volume/sync-tree.ts";
import { type PreparedTarget, removeEarlierProbes } from "../volume/target.ts";
import { Attempt, type AttemptNote, tellOfEarlier } from "./attempt.ts";
import { connect } from "./connect.ts";
import { type CopySetup, copySelected, durabilityOf, openDataPlane, openPublisher, type PlaneParts } from "./copy.ts";
import { decideAround, takeUpAround } from "./fill-around.ts";
import { fingerprint } from "./fingerprint.ts";
import { holdTarget } from "./hold-target.ts";
import type { RunHost } from "./host.ts";
import { checkpointOf, type EarlierWork, goOn, keepLast, keepProgress, keepSynced } from "./resume.ts";
import { openSource, pathRules, stagedRules } from "./source.ts";
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
  const earlier = await previousAttempt(config, host, target);
  const previous = earlier?.record;
  const attempt = new Attempt(config, target, previous, held.move());
  onAttempt(attempt);
  state.firstStartedAt = previous?.firstStartedAt;
  // Nothing is written any more once the target is let go of.
  await using shown = state.shown;
  if (!previous) shown.begin(0);
  await using connection = await connect(config, host, state);
  const source = await openSource(config, connection, host, state);
  const isUnowned = !previous && target.foreignNames.length > 0 && !config.target.allowNonEmpty;
  if (isUnowned || (earlier?.complete && canBeCompared(config, earlier.record, source))) {
    const difference = await differenceFromListing(config, { connection, source, target }, host, state);
    if (difference === undefined) {
      if (!config.dryRun && state.ledger.failureKinds.size === 0) await keepFound(config, host, state, target);
      return;
    }
    if (isUnowned) throw notEmpty(target, difference);
    host.logger.info("the earlier attempt had completed another state of the source", { difference });
  }
  const durability = await durabilityOf(config, target);
  state.durability = durability.method;
  const beginning = { attempt, previous, target, source, connection, threads: state.threads, durability };
  await using parts = attempt.startedEmpty
    ? await fillEmpty(config, host, state, beginning)
    : await fillAround(config, host, state, beginning);
  const { plane } = parts;
  let { keeper } = parts;
  const begin = async (): Promise<void> => {
    await attempt.begin();
    if (config.output.ownerUid !== undefined) shown.keepBy((percent) => saveShownProgress(target.root, percent));
  };
  try {
    await copySelected(config, host, state, {
      connection,
      source,
      free: await freeSpace(target.root),
      ...parts,
      begin,
    });
    state.watch(undefined);
    if (config.dryRun) return;
    state.phase = "syncing";
    if (state.ledger.failureKinds.size > 0) {
      await keepLast(keeper, undefined, host);
      return;
    }
    // Directories that keep us out could not be gone on with: from here on a killed run starts over.
    if (keepsUsOut(config.target, readIdentity())) {
      keeper = undefined;
      await dropCheckpoint(target.root);
    }
    await finish(config, host, { attempt, target, resumed: previous !== undefined, durability });
    await plane?.syncDirectories();
    await durability.sync(host.signal);
    await expectRecord(target.root);
    await shown.forget();
    host.signal.throwIfAborted();
  } catch (error) {
    await keepLast(keeper, error, host);
    throw error;
  }
  // From here on a signal no longer changes the verdict: everything is in place and on stable storage.
  await leaveNothing(target);
}

/** A volume that holds all already: nobody knows whether whoever filled it has waited for the disk. */
async function keepFound(config: Config, host: RunHost, state: RunState, target: PreparedTarget): Promise<void> {
  state.phase = "syncing";
  const durability = await durabilityOf(config, target);
  state.durability = durability.method;
  if (durability.method === "fsync") await syncTree(target.root, { what: "files and directories" }, host.signal);
  await durability.sync(host.signal);
  await leaveNothing(target);
}

/** Removes what is ours and no data. */
async function leaveNothing({ root, abilities }: PreparedTarget): Promise<void> {
  if (abilities) await removeEarlierProbes(root, abilities.startedCtimeMs);
  await removeState(root);
}

interface Beginning extends Omit<EarlierWork, "previous">, PlaneParts {
  readonly attempt: Attempt;
  readonly previous: OwnerRecord | undefined;
}

/** How files get onto the volume, and who keeps what another attempt needs to go on. */
interface FillingParts
  extends Pick<CopySetup, "rules" | "publisher" | "checkpointer" | "syncing" | "decide">,
    AsyncDisposable {
  /** Undefined where nothing is to be written or looked up. */
  readonly plane: DataPlane | undefined;
  readonly keeper: { last(): Promise<void> } | undefined;
}

/** Straight into the final names: all that is on the volume is ours. */
async function fillEmpty(config: Config, host: RunHost, state: RunState, beginning: Beginning): Promise<FillingParts> {
  const { attempt, target, source, durability } = beginning;
  const rules = pathRules;
  const nobody = { publisher: undefined, decide: undefined };
  if (config.dryRun) {
    state.phase = "listing";
    return { rules, plane: undefined, keeper: undefined, ...nobody, [Symbol.asyncDispose]: async () => {} };
  }
  const from = await makeReady(config, host, state, beginning);
  state.phase = "listing";
  const keepsUnfinished = source.sorted;
  const plane = openDataPlane(config, beginning, { keepsUnfinished });
  state.watch(plane);
  const { firstStartedAt } = attempt;
  const keeper = keepsUnfinished
    ? keepProgress(config, host, state, {
        plane,
        durability,
        firstStartedAt,
        from,
        save: (text) => saveBesideRecord(target.root, text),
      })
    : undefined;
  const dispose = (): PromiseLike<void> => plane[Symbol.asyncDispose]();
  const syncing = keeper ? undefined : keepSynced(config, host, state, { plane, durability });
  const parts = { rules, plane, keeper, checkpointer: keeper, syncing, ...nobody };
  return { ...parts, [Symbol.asyncDispose]: dispose };
}

/** Under temporary names first, so that a killed attempt leaves nothing of which nobody knows whose it is. */
async function fillAround(config: Config, host: RunHost, state: RunState, beginning: Beginning): Promise<FillingParts> {
  const { attempt, previous, target, durability } = beginning;
  const { root } = target;
  const isResumed = previous !== undefined && !config.dryRun;
  const earlier = isResumed ? await takeUpAround(config, host, state, { root, previous }) : undefined;
  state.phase = "listing";
  const options = { keepsUnfinished: true, placement: "staged", replaces: false } as const;
  const plane = openDataPlane(config, beginning, options);
  state.watch(plane);
  const publisher = openPublisher(config, host, {
    plane,
    sync: async () => {
      await plane.syncDirectories();
      await durability.sync();
    },
    save: config.dryRun ? undefined : (text) => saveBesideRecord(root, text),
    open: earlier?.open ?? [],
    firstStartedAt: attempt.firstStartedAt,
  });
  const decide = decideAround(config, previous);
  const dispose = (): PromiseLike<void> => plane[Symbol.asyncDispose]();
  const parts = { rules: stagedRules, plane, keeper: publisher, checkpointer: undefined, publisher, decide };
  return { ...parts, [Symbol.asyncDispose]: dispose };
}

/** A checkpoint without our record would only be in the next attempt's way. Throws CopyError. */
async function saveBesideRecord(root: string, text: string): Promise<void> {
  await expectRecord(root);
  await saveCheckpoint(root, text);
}

/** Leaves on the volume only what this run can build on: all that a checkpoint vouches for, or nothing of ours. */
async function makeReady(
  config: Config,
  host: RunHost,
  state: RunState,
  { previous, durability, target, source }: Beginning,
): Promise<CheckpointState | undefined> {
  if (!previous) return undefined;
  const earlier = { target, source, previous };
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
  await startOver(root, previous, host.signal);
  return undefined;
}

/** What an earlier attempt at the same volume left, if it may be built on or removed. Throws CopyError `volume`. */
async function previousAttempt(
  config: Config,
  host: RunHost,
  target: PreparedTarget,
): Promise<Extract<FoundOwner, { readonly status: "ours" }> | undefined> {
  if (!target.hasStateDirectory) return undefined;
  const owner = await readOwnerRecord(target.root);
  if (owner.status === "absent") return undefined;
  if (owner.status !== "ours") throw new CopyError("volume", `${owner.reason}; nothing was changed`);
  tellOfEarlier(owner.record, config, host);
  return owner;
}

/** Whether a volume that an earlier attempt completed may already be what this one is to make. */
function canBeCompared(config: Config, record: OwnerRecord, source: CopySetup["source"]): boolean {
  // A list of keys may come from a pipe, which cannot be read a second time.
  const again = config.target.resume && source.sorted;
  return again && record.startedEmpty && record.fingerprint === fingerprint(config);
}

/**
 * How the volume differs from what the source lists; undefined if it does not, and then the run is over: an earlier one
 * died in or after its last clean-up.
 */
async function differenceFromListing(
  config: Config,
  { connection, source, target }: Pick<CopySetup, "connection" | "source"> & { readonly target: PreparedTarget },
  host: RunHost,
  state: RunState,
): Promise<string | undefined> {
  state.phase = "listing";
  const comparison = new ListingComparison(target.root);
  const { unsupported } = config.target;
  // What is compared in vain is not to count beside what a run does after it.
  const ledger = new Ledger(new Tally(), host.logger);
  const parts = { ...connection, rules: pathRules, ledger, comparison, unsupported };
  const { sourceDigest } = await compareAll(source, parts, host.signal);
  const { equal, differences } = await comparison.finish(host.signal);
  if (!equal) return differences[0] ?? "it has other files";
  state.ledger.adopt(ledger);
  state.sourceDigest = sourceDigest;
  return undefined;
}

function notEmpty({ root, foreignNames }: PreparedTarget, difference: string): CopyError {
  const names = foreignNames.slice(0, 5).map((name) => JSON.stringify(name));
  return new CopyError(
    "volume",
    `the target ${root} is not empty (it has ${names.join(", ")}) and is not what the source lists: ` +
      `${difference} (--allow-non-empty)`,
  );
}

interface Finish extends Pick<Beginning, "attempt" | "target" | "durability"> {
  /** Whether an earlier attempt may have left directories without their attributes. */
  readonly resumed: boolean;
}

async function finish({ target: wanted }: Config, host: RunHost, finishing: Finish): Promise<void> {
  const { attempt, target, durability, resumed } = finishing;
  const { root, abilities } = target;
  const madeSinceMs = attempt.startedEmpty ? undefined : (attempt.filledSinceMs ?? abilities?.startedCtimeMs);
  const fsync = durability.method === "fsync";
  const options = { root, attributes: wanted, chownRoot: wanted.chownRoot, resumed, madeSinceMs, fsync };
  await finishDirectories(options, host.signal);
}
