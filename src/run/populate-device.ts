import type { Config } from "../config/config.ts";
import { LocalDevice } from "../data/local-device.ts";
import { SourceDigest } from "../engine/source-digest.ts";
import { proofOf } from "../engine/verify-run.ts";
import { CopyError } from "../errors.ts";
import { headBytes } from "../volume/device.ts";
import { eraseDeviceState, readDeviceState } from "../volume/device-state.ts";
import { type AttemptNote, tellOfEarlier } from "./attempt.ts";
import { connect } from "./connect.ts";
import { copySelected } from "./copy.ts";
import { DeviceAttempt, type DeviceJob, hasRoom, isOurs, notYetBegun } from "./device-attempt.ts";
import { holdDevice } from "./hold-target.ts";
import type { RunHost } from "./host.ts";
import { onlyObject } from "./only-object.ts";
import { openDevicePlane } from "./plane.ts";
import { keepLast, keepProgress } from "./resume.ts";
import { openSource, pathRules } from "./source.ts";
import type { RunState } from "./state.ts";

/** Fills a device with one object, whose beginning is written last. `onAttempt` gets the note as soon as there is one. */
export async function populateDevice(
  path: string,
  config: Config,
  host: RunHost,
  state: RunState,
  onAttempt: (note: AttemptNote) => void,
): Promise<void> {
  await using held = await holdDevice(path, config, host);
  const { device } = held;
  const found = await readDeviceState(device);
  const holdsData = !(await device.isZero({ start: 0, length: headBytes }));
  if (found.status === "ours") {
    tellOfEarlier(found.state.owner, config, host);
    state.firstStartedAt = found.state.owner.firstStartedAt;
    // What somebody has begun to write over is not ours to note anything in.
    if (!holdsData || isOurs(found)) onAttempt(notYetBegun(path, config));
  }
  await using connection = await connect(config, host, state);
  const source = await openSource(config, connection, host, state);
  const object = await onlyObject(path, source, connection, host.signal);
  const { sizeBytes } = object.entry;
  if (sizeBytes > device.sizeBytes) {
    const message = `the device ${path} is too small: it has ${device.sizeBytes} bytes, the object ${sizeBytes}`;
    throw new CopyError("volume-full", message);
  }
  const job = { device, holdsData, found, connection, source, object };
  if (holdsData && !isOurs(found) && !config.target.allowNonEmpty) await expectEqual(job, config, host, state);
  else await fill(job, config, host, state, onAttempt);
}

/** A device that holds data: a run may have died after its last step. Throws CopyError `volume`. */
async function expectEqual(job: DeviceJob, config: Config, host: RunHost, state: RunState): Promise<void> {
  const { device, found, connection, source, object } = job;
  const { entry, listed } = object;
  state.phase = "copying";
  host.logger.info("comparing the device with the object", { bytes: entry.sizeBytes });
  const local = new LocalDevice(device, entry.sizeBytes);
  const path = pathRules.resolveFile(entry.key.slice(source.prefix.length));
  const pair = { entry, path, found: await local.inspect(), lengthProves: false };
  try {
    const proof = await proofOf(pair, { ...connection, local }, host.signal);
    state.ledger.listed([entry]);
    state.ledger.listingEnded();
    state.ledger.matched(entry, proof);
  } catch (error) {
    if (!(error instanceof CopyError) || error.kind !== "different") throw error;
    const also = "reason" in found ? `; ${found.reason}` : "";
    const message = `the device ${device.path} holds data already, and it is not the object's: ${error.message}${also}`;
    throw new CopyError("volume", `${message} (--allow-non-empty)`, { cause: error });
  }
  const digest = new SourceDigest();
  digest.add(listed);
  state.sourceDigest = digest.finish();
  if (config.dryRun) return;
  if (hasRoom(job) && found.status !== "foreign" && found.status !== "absent") await eraseDeviceState(device);
  await device.sync();
  state.durability = "device";
}

async function fill(
  job: DeviceJob,
  config: Config,
  host: RunHost,
  state: RunState,
  onAttempt: (note: AttemptNote) => void,
): Promise<void> {
  const { device, connection, source } = job;
  state.phase = "listing";
  const free = { freeBytes: device.sizeBytes, freeInodes: undefined, blockBytes: 1 };
  const setup = { connection, source, rules: pathRules, free, publisher: undefined, decide: undefined };
  if (config.dryRun) {
    await copySelected(config, host, state, { ...setup, plane: undefined, begin: async () => {} });
    return;
  }
  state.durability = "device";
  const attempt = new DeviceAttempt(job, config, host);
  const { from, keepsState } = attempt;
  // Nothing is kept any more once the device is let go of.
  await using shown = state.shown;
  shown.begin(attempt.shownPercent);
  if (from) state.resumed = { fromMs: from.savedAtMs, copied: from.counts.copied };
  await using plane = openDevicePlane(config, connection, state.threads, attempt.writer);
  state.watch(plane);
  const checkpointer = keepsState ? keepProgress(config, host, state, attempt.keeping(plane, state)) : undefined;
  const begin = async (): Promise<void> => {
    await attempt.begin();
    if (!keepsState) return;
    onAttempt(attempt);
    if (config.output.ownerUid !== undefined) shown.keepBy((percent) => attempt.show(percent));
  };
  try {
    await copySelected(config, host, state, { ...setup, plane, checkpointer, begin });
  } catch (error) {
    await keepLast(checkpointer, error, host);
    throw error;
  }
  state.watch(undefined);
  await shown.forget();
  state.phase = "syncing";
  if (state.ledger.failureKinds.size > 0) await keepLast(checkpointer, undefined, host);
  else await attempt.finish(state.ledger.counts.copied);
}
