import type { Config } from "../config/config.ts";
import { lockTarget } from "../volume/lock.ts";
import { type PreparedTarget, prepareTarget } from "../volume/target.ts";
import type { RunHost } from "./host.ts";

/** How long another process of ours may still work on the target. */
const busyMs = 60_000;

/** A target that no other process of ours works on until it is disposed of. */
export interface HeldTarget extends AsyncDisposable {
  readonly target: PreparedTarget;
}

export function targetOptions({ verb, dryRun, target }: Config, host: RunHost) {
  return { ...target, verb, dryRun, processOne: host.isProcess1 };
}

/** Prepares and locks the target, unless nothing is to be written. Throws CopyError `volume` or `busy`. */
export async function holdTarget(config: Config, host: RunHost): Promise<HeldTarget> {
  const options = targetOptions(config, host);
  const target = await prepareTarget(options);
  if (config.dryRun) return { target, [Symbol.asyncDispose]: async () => {} };
  let waited = false;
  const onWait = (sentence: string): void => {
    waited = true;
    host.logger.info("waiting", { reason: sentence });
  };
  const lock = await lockTarget(target.root, { waitMs: busyMs, onWait }, host.signal);
  if (lock.warning !== undefined) host.logger.warn("lock", { problem: lock.warning });
  try {
    // What was seen before the other process ended is out of date, and its files are no older than that look.
    const current = waited ? await prepareTarget(options) : target;
    return { target: current, [Symbol.asyncDispose]: () => lock[Symbol.asyncDispose]() };
  } catch (error) {
    await lock[Symbol.asyncDispose]();
    throw error;
  }
}
