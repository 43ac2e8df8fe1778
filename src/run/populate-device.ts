import type { Config } from "../config/config.ts";
import { LocalDevice } from "../data/local-device.ts";
import type { CheckpointState } from "../engine/checkpoint.ts";
import { SourceDigest } from "../engine/source-digest.ts";
import { proofOf } from "../engine/verify-run.ts";
import { CopyError } from "../errors.ts";
import type { Counts, DataPlane } from "../types.ts";
import { alignedMemory } from "../volume/aligned-memory.ts";
import { Device, headBytes } from "../volume/device.ts";
import { DeviceStateKeeper, eraseDeviceState, readDeviceState, roomBesideState } from "../volume/device-state.ts";
import type { FoundDeviceState } from "../volume/device-state-format.ts";
import type { DeviceWriterOptions } from "../volume/device-writer.ts";
import { nextAttempt, type RecordedFailure } from "../volume/owner-format.ts";
import { type Connection, connect } from "./connect.ts";
import { copySelected } from "./copy.ts";
import { describeSource, fingerprint } from "./fingerprint.ts";
import { holdDevice } from "./hold-target.ts";
import type { RunHost } from "./host.ts";
import { type OnlyObject, onlyObject } from "./only-object.ts";
import { openDevicePlane } from "./plane.ts";
import { type AttemptNote, tellOfEarlier } from "./populate.ts";
import { type KeeperParts, keepLast, keepProgress } from "./resume.ts";
import { deviceCheckpointOf } from "./resume-device.ts";
import { openSource, pathRules, type SelectedSource } from "./source.ts";
import type { RunState } from "./state.ts";

/** What is to be done, and what the device was like before. */
interface Job {
  readonly device: Device;
  /** Whether there is data where a disk shows what it is. */
  readonly holdsData: boolean;
  readonly found: FoundDeviceState;
  readonly connection: Connection;
  readonly source: SelectedSource;
  readonly object: OnlyObject;
}

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

/** Whether what stands at the beginning of the device is what an earlier run of ours was writing there. */
function isOurs(found: FoundDeviceState): boolean {
  return found.status === "ours" && found.state.finishing;
}

/** A device that holds data: a run may have died after its last step. Throws CopyError `volume`. */
async function expectEqual(job: Job, config: Config, host: RunHost, state: RunState): Promise<void> {
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
  job: Job,
  config: Config,
  host: RunHost,
  state: RunState,
  onAttempt: (note: AttemptNote) => void,
): Promise<void> {
  const { device, connection, source } = job;
  state.phase = "listing";
  const free = { freeBytes: device.sizeBytes, freeInodes: undefined, blockBytes: 1 };
  const setup = { connection, source, free, publisher: undefined };
  if (config.dryRun) {
    await copySelected(config, host, state, { ...setup, plane: undefined, begin: async () => {} });
    return;
  }
  state.durability = "device";
  const attempt = new DeviceAttempt(job, config, host);
  const { from, keepsState } = attempt;
  if (from) state.resumed = { fromMs: from.savedAtMs, copied: from.counts.copied };
  await using plane = openDevicePlane(config, connection, attempt.writer);
  state.watch(plane);
  const checkpointer = keepsState ? keepProgress(config, host, state, attempt.keeping(plane, state)) : undefined;
  const begin = async (): Promise<void> => {
    await attempt.begin();
    if (keepsState) onAttempt(attempt);
  };
  try {
    await copySelected(config, host, state, { ...setup, plane, checkpointer, begin });
  } catch (error) {
    await keepLast(checkpointer, error, host);
    throw error;
  }
  state.watch(undefined);
  state.phase = "syncing";
  if (state.ledger.failureKinds.size > 0) await keepLast(checkpointer, undefined, host);
  else await attempt.finish(state.ledger.counts.copied);
}

function hasRoom({ device, object }: Job): boolean {
  return object.entry.sizeBytes <= roomBesideState(device.sizeBytes);
}

/** This attempt at a device, and what is kept of it there if there is room. */
class DeviceAttempt implements AttemptNote {
  readonly from: CheckpointState | undefined;
  readonly keepsState: boolean;
  readonly #firstStartedAt: string;
  readonly #head = new SharedArrayBuffer(headBytes);
  readonly #job: Job;
  readonly #config: Config;
  readonly #host: RunHost;
  #keeper: DeviceStateKeeper | undefined;

  constructor(job: Job, config: Config, host: RunHost) {
    const { device, found, holdsData, object } = job;
    this.#job = job;
    this.#config = config;
    this.#host = host;
    const room = hasRoom(job);
    const disturbed = holdsData && !isOurs(found);
    this.from = deviceCheckpointOf(config, host, { found, entry: object.entry, hasRoom: room, disturbed });
    this.#firstStartedAt = found.status === "ours" ? found.state.owner.firstStartedAt : new Date().toISOString();
    this.keepsState = room && found.status !== "foreign";
    if (this.keepsState) return;
    const reason = room ? "its last 64 KiB hold data of somebody else" : "the object reaches into its last 64 KiB";
    host.logger.info("if this run is cut short, another one starts over", { device: device.path, reason });
  }

  /** Clears the beginning of the device and notes the attempt, before the first byte. Throws CopyError. */
  async begin(): Promise<void> {
    const { device, found, holdsData } = this.#job;
    await device.write(alignedMemory(Math.min(headBytes, device.sizeBytes)), 0);
    await device.sync();
    if (!this.keepsState) {
      const stale = found.status !== "absent" && found.status !== "foreign";
      if (stale) await eraseDeviceState(device);
      return;
    }
    const fresh = {
      fingerprint: fingerprint(this.#config),
      source: describeSource(this.#config),
      startedEmpty: !holdsData,
      firstStartedAt: this.#firstStartedAt,
    };
    const [owner, checkpoint] =
      found.status === "ours" ? [found.state.owner, this.from && found.state.checkpoint] : [undefined, undefined];
    this.#keeper = await DeviceStateKeeper.begin(device, found, nextAttempt(fresh, owner), checkpoint);
  }

  /** How data threads write to the device. */
  get writer(): Omit<DeviceWriterOptions, "kind"> {
    const { path, descriptor, sizeBytes } = this.#job.device;
    const roomBytes = this.keepsState ? roomBesideState(sizeBytes) : sizeBytes;
    return { path, descriptor, head: this.#head, roomBytes };
  }

  /** How progress is kept on the device. */
  keeping(plane: DataPlane, { ledger }: RunState): KeeperParts {
    return {
      plane,
      durability: { sync: () => this.#job.device.sync() },
      firstStartedAt: this.#firstStartedAt,
      from: this.from,
      fits: (text) => this.#keeper?.fits(text) ?? false,
      save: async (text) => {
        // Once the object is complete, the last checkpoint says more than one without it.
        if (ledger.counts.copied.objects === 0) await this.#keeper?.keep(text);
      },
    };
  }

  /**
   * Puts the object on stable storage, its beginning last. A signal counts until that begins. Throws CopyError, also when
   * the object was deleted since an earlier run began.
   */
  async finish(copied: Counts): Promise<void> {
    const { device, object } = this.#job;
    if (copied.objects !== 1) throw new CopyError("missing", `object ${JSON.stringify(object.entry.key)} has gone`);
    await device.sync();
    this.#host.signal.throwIfAborted();
    await this.#keeper?.finishing();
    const beginning = alignedMemory(Math.min(copied.bytes, headBytes));
    beginning.set(new Uint8Array(this.#head, 0, beginning.length));
    await device.write(beginning, 0);
    await device.sync();
    if (this.#keeper) await eraseDeviceState(device);
  }

  /** The device has been closed by then. */
  async failed(failure: Omit<RecordedFailure, "inARow">): Promise<number> {
    await using device = await Device.open(this.#job.device.path, "fill");
    const keeper = await DeviceStateKeeper.reopen(device);
    return (await keeper?.failed(failure)) ?? 1;
  }
}
