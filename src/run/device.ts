import type { Config } from "../config/config.ts";
import { LocalDevice } from "../data/local-device.ts";
import { verifyAll } from "../engine/verify-run.ts";
import { ConfigError, CopyError } from "../errors.ts";
import { Device } from "../volume/device.ts";
import type { AttemptNote } from "./attempt.ts";
import { connect } from "./connect.ts";
import type { RunHost } from "./host.ts";
import { onlyObject } from "./only-object.ts";
import { populateDevice } from "./populate-device.ts";
import { openSource, pathRules } from "./source.ts";
import type { RunState } from "./state.ts";

/** Runs a verb whose target is the block device at `path`, a real path. */
export async function runOnDevice(
  path: string,
  config: Config,
  host: RunHost,
  state: RunState,
  onAttempt: (note: AttemptNote) => void,
): Promise<void> {
  if (config.verb === "copy") {
    throw new CopyError("volume", `the target ${path} is a block device: only populate fills one, copy a directory`);
  }
  const useless = config.target.directoryOnly;
  if (useless.length > 0) {
    throw new ConfigError(useless.map((label) => `${label} is of no use: the target ${path} is a block device`));
  }
  if (config.verb === "verify") await verifyDevice(path, config, host, state);
  else await populateDevice(path, config, host, state, onAttempt);
}

/** Compares the beginning of a device with the object; writes nothing. */
async function verifyDevice(path: string, config: Config, host: RunHost, state: RunState): Promise<void> {
  await using device = await Device.open(path, "audit");
  await using connection = await connect(config, host, state);
  const source = await openSource(config, connection, host, state);
  const { entry } = await onlyObject(path, source, connection, host.signal);
  state.phase = "copying";
  const local = new LocalDevice(device, entry.sizeBytes);
  const parts = { ...connection, ledger: state.ledger, rules: pathRules, local };
  const options = {
    select: source.select,
    unsupported: config.target.unsupported,
    maxFailures: config.effort.maxFailures,
    concurrency: 1,
    sorted: source.sorted,
    extras: false,
    lengthProves: false,
  };
  const { sourceDigest } = await verifyAll(source.pages, source.prefix, parts, options, host.signal);
  state.sourceDigest = sourceDigest;
}
