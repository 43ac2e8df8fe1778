import type { Config } from "../config/config.ts";
import { type CheckpointState, whyNotResume } from "../engine/checkpoint.ts";
import { parseCheckpoint } from "../engine/checkpoint-format.ts";
import type { ObjectEntry } from "../types.ts";
import { headBytes } from "../volume/device.ts";
import type { FoundDeviceState } from "../volume/device-state-format.ts";
import { fingerprint } from "./fingerprint.ts";
import type { RunHost } from "./host.ts";

export interface EarlierDevice {
  readonly found: FoundDeviceState;
  readonly entry: ObjectEntry;
  /** Whether the object leaves room for the state. */
  readonly hasRoom: boolean;
  /** Whether something else wrote to the device since. */
  readonly disturbed: boolean;
}

/** The checkpoint to go on from; undefined where there is none, after saying why if there was something to go on from. */
export function deviceCheckpointOf(config: Config, host: RunHost, earlier: EarlierDevice): CheckpointState | undefined {
  if (earlier.found.status === "absent") return undefined;
  const checkpoint = findCheckpoint(config, earlier);
  if (typeof checkpoint === "string") {
    host.logger.info("starting over", { reason: checkpoint });
    return undefined;
  }
  const bytes = checkpoint.open.flatMap(({ extents }) => extents).reduce((sum, { length }) => sum + length, 0);
  host.logger.info("resuming", { savedAt: new Date(checkpoint.savedAtMs).toISOString(), bytes });
  return checkpoint;
}

/** The checkpoint, or one sentence that says why the run must not go on from it. */
function findCheckpoint(config: Config, { found, entry, hasRoom, disturbed }: EarlierDevice): CheckpointState | string {
  const wanted = { fingerprint: fingerprint(config), nowMs: Date.now(), resumeWithinMs: config.target.resumeWithinMs };
  if (found.status === "absent") return "the earlier attempt left no state";
  if (found.status !== "ours") return found.reason;
  const { owner, checkpoint } = found.state;
  if (!config.target.resume) return "--no-resume was given";
  if (owner.fingerprint !== wanted.fingerprint) return `the earlier work was another one (${owner.source})`;
  if (!hasRoom) return "the object now reaches into the last 64 KiB of the device";
  if (disturbed) return "something else has written to the device since";
  if (checkpoint === undefined) return "the earlier attempt left no checkpoint";
  const loaded = parseCheckpoint(checkpoint);
  if (loaded.status !== "ok") return loaded.reason;
  return whyNotResume(loaded.state, wanted) ?? whyNotOf(loaded.state, entry) ?? loaded.state;
}

/** Why the checkpoint says nothing of this version of the object; undefined when it does. */
function whyNotOf({ open, frontier }: CheckpointState, { key, etag, sizeBytes }: ObjectEntry): string | undefined {
  const [only, ...others] = open;
  if (only?.entry.key !== key || frontier !== key || others.length > 0) {
    return "the checkpoint on the target is not of this one object";
  }
  if (only.entry.etag !== etag || only.entry.sizeBytes !== sizeBytes) return "the object has changed since";
  const [first] = only.extents;
  return first && first.start < headBytes ? "the checkpoint on the target vouches for what is written last" : undefined;
}
