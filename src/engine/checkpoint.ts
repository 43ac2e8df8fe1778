import type { Counts, ObjectEntry, Verification } from "../types.ts";
import type { Extent } from "./checkpoint-extents.ts";
import type { Position } from "./checkpoint-position.ts";
import type { DigestState } from "./source-digest.ts";

/** An entry that was handed out and is not settled, with what is there of it already. */
export interface OpenEntry {
  readonly entry: ObjectEntry;
  readonly position: Position;
  /** Ascending, disjoint, neighbours merged. */
  readonly extents: readonly Extent[];
}

/** What all runs of the same work have settled up to the frontier. */
export interface SettledCounts {
  readonly copied: Counts;
  readonly skipped: Counts;
  readonly verified: Readonly<Record<Verification, number>>;
}

/** How far the work is: all up to the frontier is settled but what is open, nothing beyond it has been begun. */
export interface OpenListState {
  /** Position of the last entry handed out; undefined when none was. */
  readonly frontier: Position | undefined;
  /** Entries up to the frontier that are not settled, in order of position. */
  readonly open: readonly OpenEntry[];
  readonly counts: SettledCounts;
  /** Whether keys came in ascending order; if not, "up to the frontier" means nothing and the state is of no use. */
  readonly keysAscend: boolean;
}

/** What a later run needs to go on; true of stable storage once the volume was synced after it was taken. */
export interface CheckpointState extends OpenListState {
  /** Digest of every option that changes the result. */
  readonly fingerprint: string;
  /** Wall clock, milliseconds since the epoch. */
  readonly savedAtMs: number;
  /** ISO 8601, as `Date.prototype.toISOString` writes it. */
  readonly firstStartedAt: string;
  readonly digest: DigestState;
}

/** Why a later run must not go on from `state`, in one sentence; undefined when it may. */
export function whyNotResume(
  state: CheckpointState,
  wanted: { readonly fingerprint: string; readonly nowMs: number; readonly resumeWithinMs: number },
): string | undefined {
  if (state.fingerprint !== wanted.fingerprint) return "the checkpoint on the target is of other work";
  if (!state.keysAscend) return "the checkpoint on the target is of a listing whose keys did not ascend";
  // Of a checkpoint from the future nobody knows the age.
  if (Math.abs(wanted.nowMs - state.savedAtMs) > wanted.resumeWithinMs) {
    const savedAt = new Date(state.savedAtMs).toISOString();
    return `the checkpoint on the target was saved at ${savedAt}, too far from now (--resume-within)`;
  }
  return undefined;
}
