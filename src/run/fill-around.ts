import type { Config } from "../config/config.ts";
import { createFillDecision } from "../engine/decide-copy.ts";
import type { CopyDecision } from "../engine/feeder.ts";
import { dropCheckpoint } from "../volume/checkpoint-file.ts";
import type { OwnerRecord } from "../volume/owner-format.ts";
import { removeStaleTemporaries } from "../volume/prune.ts";
import { dropShownProgress, loadShownProgress } from "../volume/shown-progress.ts";
import { fingerprint } from "./fingerprint.ts";
import type { RunHost } from "./host.ts";
import type { Earlier } from "./keep-copy.ts";
import { usableCheckpoint } from "./resume.ts";
import { stagedRules } from "./source.ts";
import type { RunState } from "./state.ts";

/** Versions as they are in temporary names of populate. */
const versionPattern = /^[0-9a-f]{32}$/;

/**
 * What an earlier attempt has left to go on with on a volume that did not begin empty; all other temporary files of it are
 * removed, and nothing else. Throws CopyError `volume`, or the signal's reason.
 */
export async function takeUpAround(
  config: Config,
  host: RunHost,
  state: RunState,
  { root, previous }: { readonly root: string; readonly previous: OwnerRecord },
): Promise<Earlier> {
  const found = config.target.resume ? await usableCheckpoint(config, root) : "--no-resume was given";
  const open = typeof found === "string" ? [] : found.open;
  if (typeof found === "string") {
    host.logger.info("starting over", { reason: found });
    await dropCheckpoint(root);
  } else {
    host.logger.info("resuming", { savedAt: new Date(found.savedAtMs).toISOString(), open: open.length });
    state.resumed = { fromMs: found.savedAtMs, copied: { objects: 0, bytes: 0 } };
  }
  if (previous.fingerprint === fingerprint(config)) state.shown.begin(await loadShownProgress(root));
  else {
    state.shown.begin(0);
    await dropShownProgress(root);
  }
  const kept = new Set(open.map(({ entry }) => stagedRules.versionOf(entry)));
  const isStale = (version: string): boolean => versionPattern.test(version) && !kept.has(version);
  await removeStaleTemporaries(root, isStale, host.signal);
  return { open, firstStartedAt: previous.firstStartedAt };
}

/** What to do with an object at whose place something stands on a volume that did not begin empty. */
export function decideAround(config: Config, previous: OwnerRecord | undefined): CopyDecision {
  const sameWork = previous?.fingerprint === fingerprint(config);
  return createFillDecision({ mtime: config.target.mtime, sinceMs: sameWork ? previous?.filledSinceMs : undefined });
}
