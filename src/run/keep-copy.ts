import type { Config } from "../config/config.ts";
import type { OpenEntry } from "../engine/checkpoint.ts";
import { parseCheckpoint, stringifyCheckpoint } from "../engine/checkpoint-format.ts";
import type { Publisher } from "../engine/publisher.ts";
import { type CopyState, holdOtherDivisions } from "../volume/copy-state.ts";
import { isSameWork, workOfVersion } from "../volume/copy-work.ts";
import { removeStaleTemporaries } from "../volume/prune.ts";
import { fingerprint } from "./fingerprint.ts";
import type { RunHost } from "./host.ts";
import { isSafeToKeep } from "./resume.ts";
import { copyPathRules } from "./source.ts";
import type { RunState } from "./state.ts";

/** What earlier runs of the same copy have left for this one. */
export interface Earlier {
  /** Large objects that are begun, with what is written of them. */
  readonly open: readonly OpenEntry[];
  /** ISO 8601; undefined when no run is known. */
  readonly firstStartedAt: string | undefined;
}

/**
 * Finds what an earlier run has left to go on with, and removes all other temporary files of it, and of runs of the same
 * source under another number of shards. Throws CopyError `volume`, or the signal's reason.
 */
export async function takeUp(root: string, copy: CopyState, host: RunHost, state: RunState): Promise<Earlier> {
  const earlier = copy.existed ? await loadEarlier(copy, host, state) : { open: [], firstStartedAt: undefined };
  await using others = new AsyncDisposableStack();
  const divisions = await holdOtherDivisions(root, copy.work, host.signal);
  for (const division of divisions) others.use(division);
  if (!copy.existed && divisions.length === 0) return earlier;
  const works = [copy, ...divisions].map(({ work }) => work);
  const { versionOf } = copyPathRules(copy.work);
  const kept = new Set(earlier.open.map(({ entry }) => versionOf(entry)));
  const isStale = (version: string): boolean => {
    const work = workOfVersion(version);
    return work !== undefined && works.some((ours) => isSameWork(ours, work)) && !kept.has(version);
  };
  const files = await removeStaleTemporaries(root, isStale, host.signal);
  host.logger.debug("removed temporary files of earlier runs", { files });
  for (const division of divisions) await division.remove();
  return earlier;
}

async function loadEarlier(copy: CopyState, host: RunHost, state: RunState): Promise<Earlier> {
  const nothing = { open: [], firstStartedAt: undefined };
  const text = await copy.load();
  if (text === undefined) return nothing;
  const loaded = parseCheckpoint(text);
  if (loaded.status !== "ok") {
    host.logger.info("starting over", { reason: loaded.reason });
    return nothing;
  }
  const { open, savedAtMs, firstStartedAt } = loaded.state;
  host.logger.info("resuming", { savedAt: new Date(savedAtMs).toISOString(), open: open.length });
  state.resumed = { fromMs: savedAtMs, copied: { objects: 0, bytes: 0 } };
  state.firstStartedAt = firstStartedAt;
  return { open, firstStartedAt };
}

/** A checkpoint that speaks of unfinished objects only: what is complete is told by its name, size and time. */
export function checkpointOfUnfinished(config: Config, firstStartedAt: string, open: readonly OpenEntry[]): string {
  const none = { objects: 0, bytes: 0 };
  return stringifyCheckpoint({
    fingerprint: fingerprint(config),
    savedAtMs: Date.now(),
    firstStartedAt,
    frontier: open.at(-1)?.position,
    keysAscend: true,
    counts: { copied: none, skipped: none, verified: { crc64: 0, md5: 0, lengthOnly: 0 } },
    digest: { chain: "", startAfter: undefined },
    open,
  });
}

/** Removes the state of a copy that ended with `error`, unless temporary files of it may be there for another run. */
export async function leaveCopy(
  copy: CopyState | undefined,
  publisher: Publisher | undefined,
  error: unknown,
  host: RunHost,
): Promise<void> {
  const isClean = publisher === undefined ? copy?.existed === false : isSafeToKeep(error) && publisher.isEmpty;
  if (!copy || !isClean) return;
  try {
    await copy.remove();
  } catch (failure) {
    host.logger.warn("the target keeps the state of this copy", { error: String(failure) });
  }
}
