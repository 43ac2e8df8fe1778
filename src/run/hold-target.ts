import type { Config } from "../config/config.ts";
import { claimDevice } from "../volume/claim-device.ts";
import { CopyState } from "../volume/copy-state.ts";
import { Device, refuseClosedDevice } from "../volume/device.ts";
import { lockTarget, type TargetLock } from "../volume/lock.ts";
import { type PreparedTarget, prepareTarget } from "../volume/target.ts";
import { copyWorkOf } from "./fingerprint.ts";
import type { RunHost } from "./host.ts";

/** How long another process of ours may still work on the target. */
const busyMs = 60_000;

/** A target that no other process of ours works on until it is disposed of; other shards of a copy may. */
export interface HeldTarget extends AsyncDisposable {
  readonly target: PreparedTarget;
  /** What a copy keeps on the target; undefined for other verbs, and where nothing is to be written. */
  readonly copy: CopyState | undefined;
}

/** The same for a block device. */
export interface HeldDevice extends AsyncDisposable {
  readonly device: Device;
}

export function targetOptions({ verb, dryRun, target }: Config, host: RunHost) {
  return { ...target, verb, dryRun, processOne: host.isProcess1 };
}

/** Prepares and locks the target, unless nothing is to be written. Throws CopyError `volume` or `busy`. */
export async function holdTarget(config: Config, host: RunHost): Promise<HeldTarget> {
  const options = targetOptions(config, host);
  const target = await prepareTarget(options);
  if (config.dryRun) return { target, copy: undefined, [Symbol.asyncDispose]: async () => {} };
  let waited = false;
  const onWait = (sentence: string): void => {
    waited = true;
    tellingOf(host)(sentence);
  };
  await using locks = new AsyncDisposableStack();
  const { root } = target;
  // Shards keep off each other by their own locks, and all together whoever wants the whole target.
  const mode = (config.source.shard?.count ?? 1) > 1 ? "shared" : "exclusive";
  const lock = locks.use(await lockTarget(root, { mode, waitMs: busyMs, onWait }, host.signal));
  const wait = { waitMs: busyMs, onWait };
  const copy =
    config.verb === "copy" ? locks.use(await CopyState.hold(root, copyWorkOf(config), wait, host.signal)) : undefined;
  const warning = lock.warning ?? copy?.warning;
  if (warning !== undefined) host.logger.warn("lock", { problem: warning });
  // What was seen before the other process ended is out of date, and its files are no older than that look.
  const current = waited ? await prepareTarget(options) : target;
  const held = locks.move();
  return { target: current, copy, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

/** A block device that this process alone has open until it is disposed of; in a dry run only to look at. Throws like `holdTarget`. */
export async function holdDevice(path: string, { dryRun }: Config, host: RunHost): Promise<HeldDevice> {
  await refuseClosedDevice(path);
  if (dryRun) {
    const device = await Device.open(path, "look");
    return { device, [Symbol.asyncDispose]: () => device[Symbol.asyncDispose]() };
  }
  const lock = await lockFor(path, host);
  try {
    const device = await claimDevice(path, { waitMs: busyMs, onWait: tellingOf(host) }, host.signal);
    return {
      device,
      async [Symbol.asyncDispose]() {
        await device[Symbol.asyncDispose]();
        await lock[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await lock[Symbol.asyncDispose]();
    throw error;
  }
}

async function lockFor(root: string, host: RunHost): Promise<TargetLock> {
  const lock = await lockTarget(root, { waitMs: busyMs, onWait: tellingOf(host) }, host.signal);
  if (lock.warning !== undefined) host.logger.warn("lock", { problem: lock.warning });
  return lock;
}

function tellingOf({ logger }: RunHost): (sentence: string) => void {
  return (sentence) => logger.info("waiting", { reason: sentence });
}
