import type { Config } from "../config/config.ts";
import type { CheckpointState } from "../engine/checkpoint.ts";
import { CopyError } from "../errors.ts";
import type { Counts, DataPlane } from "../types.ts";
import { alignedMemory } from "../volume/aligned-memory.ts";
import { Device, headBytes } from "../volume/device.ts";
import { DeviceStateKeeper, eraseDeviceState, roomBesideState } from "../volume/device-state.ts";
import type { FoundDeviceState } from "../volume/device-state-format.ts";
import type { DeviceWriterOptions } from "../volume/device-writer.ts";
import { blockBytes } from "../volume/direct-file.ts";
import { nextAttempt, type RecordedFailure } from "../volume/owner-format.ts";
import { type AttemptNote, isToldOf } from "./attempt.ts";
import type { Connection } from "./connect.ts";
import { describeSource, fingerprint } from "./fingerprint.ts";
import type { RunHost } from "./host.ts";
import type { OnlyObject } from "./only-object.ts";
import type { KeeperParts } from "./resume.ts";
import { deviceCheckpointOf } from "./resume-device.ts";
import type { SelectedSource } from "./source.ts";
import type { RunState } from "./state.ts";

/** What is to be done, and what the device was like before. */
export interface DeviceJob {
  readonly device: Device;
  /** Whether there is data where a disk shows what it is. */
  readonly holdsData: boolean;
  readonly found: FoundDeviceState;
  readonly connection: Connection;
  readonly source: SelectedSource;
  readonly object: OnlyObject;
}

/** Whether what stands at the beginning of the device is what an earlier run of ours was writing there. */
export function isOurs(found: FoundDeviceState): boolean {
  return found.status === "ours" && found.state.finishing;
}

/** Whether the object leaves room for the state. */
export function hasRoom({ device, object }: DeviceJob): boolean {
  return object.entry.sizeBytes <= roomBesideState(device.sizeBytes);
}

/** This attempt at a device, and what is kept of it there if there is room. */
export class DeviceAttempt implements AttemptNote {
  readonly from: CheckpointState | undefined;
  readonly keepsState: boolean;
  readonly #firstStartedAt: string;
  readonly #head = new SharedArrayBuffer(headBytes);
  readonly #reach = new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT);
  readonly #job: DeviceJob;
  readonly #config: Config;
  readonly #host: RunHost;
  #keeper: DeviceStateKeeper | undefined;

  constructor(job: DeviceJob, config: Config, host: RunHost) {
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
    const { device, found, holdsData, object } = this.#job;
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
    const reachBytes = Math.max(this.#reachBytes, object.entry.sizeBytes);
    const begun = { owner: nextAttempt(fresh, owner), checkpoint, reachBytes, shownPercent: this.shownPercent };
    this.#keeper = await DeviceStateKeeper.begin(device, found, begun);
  }

  /** What watchers of the metrics have been shown of the work that this attempt goes on with. */
  get shownPercent(): number {
    const { found } = this.#job;
    return this.from && found.status === "ours" ? found.state.shownPercent : 0;
  }

  /** Keeps a percentage that is about to be shown. Throws CopyError. */
  async show(percent: number): Promise<void> {
    await this.#keeper?.show(percent);
  }

  /** How data threads write to the device. */
  get writer(): Omit<DeviceWriterOptions, "kind"> {
    const { path, descriptor, sizeBytes } = this.#job.device;
    const roomBytes = this.keepsState ? roomBesideState(sizeBytes) : sizeBytes;
    return { path, descriptor, head: this.#head, reach: this.#reach, roomBytes };
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
        if (ledger.counts.copied.objects === 0) await this.#keeper?.keep(text, this.#reachBytes);
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
    await this.#clearBehind(copied.bytes);
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

  /** How far runs of ours have written, this one included. */
  get #reachBytes(): number {
    const { found } = this.#job;
    const before = found.status === "ours" ? found.state.reachBytes : 0;
    return Math.max(before, Number(Atomics.load(new BigInt64Array(this.#reach), 0)));
  }

  /** Removes what another version of the object, or another object, left behind the end of this one. */
  async #clearBehind(objectBytes: number): Promise<void> {
    const { device } = this.#job;
    const start = roundUp(Math.max(objectBytes, headBytes));
    const end = Math.min(
      roundUp(this.#reachBytes),
      this.keepsState ? roomBesideState(device.sizeBytes) : device.sizeBytes,
    );
    if (start < end) await device.clear({ start, length: end - start }, this.#host.signal);
  }
}

/** An attempt that has not begun, at a device with a state of an earlier one. */
export function notYetBegun(path: string, config: Config): AttemptNote {
  return {
    failed: async (failure) => {
      if (!isToldOf(config, failure.exitCode)) return 1;
      await using device = await Device.open(path, "fill");
      const keeper = await DeviceStateKeeper.reopen(device);
      return (await keeper?.failedAtOnce(failure)) ?? 1;
    },
  };
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / blockBytes) * blockBytes;
}
