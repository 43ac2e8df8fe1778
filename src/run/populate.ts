import type { Config } from "../config/config.ts";
import type { CheckpointState } from "../engine/checkpoint.ts";
import { compareAll } from "../engine/compare-run.ts";
import { Ledger } from "../engine/ledger.ts";
import { CopyError } from "../errors.ts";
import { Tally } from "../observe/tally.ts";
import { keepsUsOut } from "../volume/attributes.ts";
import { dropCheckpoint } from "../volume/checkpoint-file.ts";
import { ListingComparison } from "../volume/compare.ts";
import type { Durability } from "../volume/durability.ts";
import { finishDirectories } from "../volume/finish-directories.ts";
import { readIdentity } from "../volume/identity.ts";
import type { OwnerRecord } from "../volume/owner-format.ts";
import { beginAttempt, readOwnerRecord, recordFailure, removeState } from "../volume/owner-record.ts";
import { startOver } from "../volume/start-over.ts";
import { type PreparedTarget, removeEarlierProbes } from "../volume/target.ts";
import { connect } from "./connect.ts";
import { type CopySetup, copySelected, durabilityOf, openDataPlane } from "./copy.ts";
import { describeSource, fingerprint } from "./fingerprint.ts";
import { holdTarget } from "./hold-target.ts";
import type { RunHost } from "./host.ts";
import { checkpointOf, type EarlierWork, goOn, keepLast, keepProgress, keepSynced } from "./resume.ts";
import { openSource, pathRules } from "./source.ts";
import type { RunState } from "./state.ts";

/** A record that notes how this attempt ended; how often in a row it ended so is the answer. */
export interface AttemptNote {
  failed(failure: {
    readonly at: string;
    readonly exitCode: number;
    readonly kind: string;
    readonly reason: string;
  }): Promise<number>;
}

/** Fills a volume that nobody reads until it is done. `onAttempt` gets the note as soon as there is one. */
export async function runPopulate(
  config: Config,
  host: RunHost,
  state: RunState,
  onAttempt: (note: AttemptNote) => void,
): Promise<void> {
  await using held = await holdTarget(config, host);
  const { target } = held;
  const earlier = await previousAttempt(config, host, target);
  const previous = earlier?.record;
  state.firstStartedAt = previous?.firstStartedAt;
  await using connection = await connect(config, host, state);
  const source = await openSource(config, connection, host, state);
  const isUnowned = !previous && target.foreignNames.length > 0 && !config.target.allowNonEmpty;
  if (isUnowned || (earlier?.complete && canBeCompared(config, earlier.record, source))) {
    const difference = await differenceFromListing(config, { connection, source, target }, host, state);
    if (difference === undefined) {
      if (!config.dryRun && state.ledger.failureKinds.size === 0) await leaveNothing(target);
      return;
    }
    if (isUnowned) throw notEmpty(target, difference);
    host.logger.info("the earlier attempt had completed another state of the source", { difference });
  }
  const durability = await durabilityOf(config, target);
  state.durability = durability.method;
  const from = config.dryRun
    ? undefined
    : await makeReady(config, host, state, { previous, target, source, durability });
  state.phase = "listing";
  const attempt = new Attempt(config, target, previous);
  const keepsUnfinished = attempt.startedEmpty && source.sorted && !config.dryRun;
  await using plane = openDataPlane(config, connection, target, durability, { keepsUnfinished });
  state.watch(plane);
  const { firstStartedAt } = attempt;
  let checkpointer = keepsUnfinished
    ? keepProgress(config, host, state, { root: target.root, plane, durability, firstStartedAt, from })
    : undefined;
  const syncing = keepsUnfinished || config.dryRun ? undefined : keepSynced(config, host, state, { plane, durability });
  const begin = async (): Promise<void> => {
    await attempt.begin();
    onAttempt(attempt);
  };
  try {
    await copySelected(config, host, state, {
      connection,
      source,
      target,
      plane,
      publisher: undefined,
      checkpointer,
      syncing,
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
    host.signal.throwIfAborted();
  } catch (error) {
    await keepLast(checkpointer, error, host);
    throw error;
  }
  // From here on a signal no longer changes the verdict: everything is in place and on stable storage.
  await leaveNothing(target);
}

/** Removes what is ours and no data. */
async function leaveNothing({ root, abilities }: PreparedTarget): Promise<void> {
  if (abilities) await removeEarlierProbes(root, abilities.startedCtimeMs);
  await removeState(root);
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
    state.ledger.resume(from.counts);
    return from;
  }
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
): Promise<{ readonly record: OwnerRecord; readonly complete: boolean } | undefined> {
  if (!target.hasStateDirectory) return undefined;
  const owner = await readOwnerRecord(target.root);
  if (owner.status === "absent") return undefined;
  if (owner.status !== "ours") throw new CopyError("volume", `${owner.reason}; nothing was changed`);
  const { record, complete } = owner;
  const last = record.lastFailure;
  host.logger.info("an earlier attempt left this volume unfinished", {
    attempts: record.attempts,
    firstStartedAt: record.firstStartedAt,
    source: record.source,
    sameWork: record.fingerprint === fingerprint(config),
    ...(last && { lastExitCode: last.exitCode, lastFailure: last.reason, failedInARow: last.inARow }),
  });
  return { record, complete };
}

/** Whether a volume that an earlier attempt completed may already be what this one is to make. */
function canBeCompared(config: Config, record: OwnerRecord, source: CopySetup["source"]): boolean {
  // A list of keys may come from a pipe, which cannot be read a second time.
  return config.target.resume && source.sorted && record.fingerprint === fingerprint(config);
}

/**
 * How the volume differs from what the source lists; undefined if it does not, and then the run is over: an earlier one
 * died in or after its last clean-up.
 */
async function differenceFromListing(
  config: Config,
  { connection, source, target }: Pick<CopySetup, "connection" | "source" | "target">,
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

/** This attempt in the owner record. */
class Attempt implements AttemptNote {
  readonly startedEmpty: boolean;
  readonly firstStartedAt: string;
  readonly #config: Config;
  readonly #target: PreparedTarget;
  readonly #previous: OwnerRecord | undefined;
  #record: OwnerRecord | undefined;

  constructor(config: Config, target: PreparedTarget, previous: OwnerRecord | undefined) {
    this.#config = config;
    this.#target = target;
    this.#previous = previous;
    this.startedEmpty = previous?.startedEmpty ?? target.foreignNames.length === 0;
    this.firstStartedAt = previous?.firstStartedAt ?? new Date().toISOString();
  }

  async begin(): Promise<void> {
    const fresh = {
      fingerprint: fingerprint(this.#config),
      source: describeSource(this.#config),
      startedEmpty: this.startedEmpty,
      firstStartedAt: this.firstStartedAt,
    };
    this.#record = await beginAttempt(this.#target.root, fresh, this.#previous);
  }

  async failed(failure: Parameters<AttemptNote["failed"]>[0]): Promise<number> {
    if (!this.#record) return 1;
    this.#record = await recordFailure(this.#target.root, this.#record, failure);
    return this.#record.lastFailure?.inARow ?? 1;
  }
}
