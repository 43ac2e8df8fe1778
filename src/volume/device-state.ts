import { alignedMemory } from "./aligned-memory.ts";
import { type Device, headBytes } from "./device.ts";
import {
  chooseDeviceState,
  type DeviceState,
  type FoundDeviceState,
  parseDeviceState,
  stringifyDeviceState,
} from "./device-state-format.ts";
import { blockBytes } from "./direct-file.ts";
import { type OwnerRecord, type RecordedFailure, withFailure } from "./owner-format.ts";

/** Of two places each save takes the other one: one that is cut short leaves the former state. */
const places = 2;
const placeBytes = 32 * 1024;
const areaBytes = places * placeBytes;
/** With it and the longest key, a checkpoint without extents still fits. */
const mostReasonChars = 1000;
const longestFailure: RecordedFailure = {
  at: new Date(0).toISOString(),
  exitCode: 0,
  kind: "a-kind-that-is-longer-than-all",
  reason: "\u0001".repeat(mostReasonChars),
  inARow: Number.MAX_SAFE_INTEGER,
};
const longestPercent = 99.99;

/** Bytes of an object that leaves room for the state behind it, at most; 0 if the device has none. */
export function roomBesideState(deviceBytes: number): number {
  const start = deviceBytes - areaBytes;
  return start < headBytes ? 0 : start - (start % blockBytes);
}

/** What an earlier run left in the last 64 KiB of a device. Throws CopyError. */
export async function readDeviceState(device: Device): Promise<FoundDeviceState> {
  if (roomBesideState(device.sizeBytes) === 0) return { status: "absent" };
  const memory = alignedMemory(areaBytes);
  await device.read(memory, device.sizeBytes - areaBytes);
  const found = chooseDeviceState(
    Array.from({ length: places }, (_, i) => parseDeviceState(memory.subarray(i * placeBytes, (i + 1) * placeBytes))),
  );
  if (found.status !== "ours" || found.state.deviceBytes === device.sizeBytes) return found;
  const reason = `the state at the end of the device is of one of ${found.state.deviceBytes} bytes`;
  return { status: "damaged", reason };
}

/** Removes every state, and puts that on stable storage. Throws CopyError. */
export async function eraseDeviceState(device: Device): Promise<void> {
  await device.write(alignedMemory(areaBytes), device.sizeBytes - areaBytes);
  await device.sync();
}

/**
 * The state that a run keeps in the last 64 KiB of a device, on stable storage after each call but `show`. Calls wait for
 * each other. Methods throw CopyError.
 */
export class DeviceStateKeeper {
  readonly #device: Device;
  /** The last state on stable storage, and what has been changed since. */
  #state: DeviceState;
  #last: Promise<void> = Promise.resolve();

  private constructor(device: Device, state: DeviceState) {
    this.#device = device;
    this.#state = state;
  }

  /** Notes that an attempt begins; without a checkpoint to go on from, nothing of `found` is left. */
  static async begin(
    device: Device,
    found: FoundDeviceState,
    begun: Pick<DeviceState, "reachBytes" | "shownPercent" | "owner" | "checkpoint">,
  ): Promise<DeviceStateKeeper> {
    if (begun.checkpoint === undefined && found.status !== "absent") await eraseDeviceState(device);
    const sequence = found.status === "ours" ? found.state.sequence : 0;
    const state = { ...begun, sequence, deviceBytes: device.sizeBytes, finishing: false };
    const keeper = new DeviceStateKeeper(device, state);
    await keeper.#save({});
    return keeper;
  }

  /** The state that an earlier run of ours left; undefined if there is none. */
  static async reopen(device: Device): Promise<DeviceStateKeeper | undefined> {
    const found = await readDeviceState(device);
    if (found.status !== "ours") return undefined;
    await device.sync(); // it may have been kept by `show`
    return new DeviceStateKeeper(device, found.state);
  }

  /** Whether there is room for a checkpoint, and for whatever failure may follow. */
  fits(checkpoint: string): boolean {
    const owner = { ...this.#state.owner, lastFailure: longestFailure };
    const longest = { sequence: Number.MAX_SAFE_INTEGER, shownPercent: longestPercent, owner, checkpoint };
    return Buffer.byteLength(stringifyDeviceState({ ...this.#state, ...longest })) <= placeBytes;
  }

  get reachBytes(): number {
    return this.#state.reachBytes;
  }

  /** What the checkpoint speaks of must be on stable storage already; runs have written up to `reachBytes`. */
  keep(checkpoint: string, reachBytes: number): Promise<void> {
    return this.#save({ checkpoint, reachBytes: Math.max(reachBytes, this.reachBytes) });
  }

  /** From now on, what stands at the beginning of the device is ours. */
  finishing(): Promise<void> {
    return this.#save({ finishing: true });
  }

  /** Notes how the attempt ended; how often in a row it ended so is the answer. */
  failed(failure: Omit<RecordedFailure, "inARow">): Promise<number> {
    return this.#noteFailure(this.#state.owner, failure);
  }

  /** The same for an attempt that has not begun. */
  failedAtOnce(failure: Omit<RecordedFailure, "inARow">): Promise<number> {
    const { owner } = this.#state;
    return this.#noteFailure({ ...owner, attempts: owner.attempts + 1 }, failure);
  }

  /**
   * Keeps the percentage that is about to be shown. Not synced, for whoever shows it would take a failed sync for a mere
   * lack of progress, and the system tells of lost bytes once only. So the last state on stable storage stays as it is: the
   * next one is written over this one.
   */
  show(shownPercent: number): Promise<void> {
    return this.#inTurn(async () => {
      await this.#write({ ...this.#state, shownPercent, sequence: this.#state.sequence + 1 });
      this.#state = { ...this.#state, shownPercent };
    });
  }

  async #noteFailure(before: OwnerRecord, failure: Omit<RecordedFailure, "inARow">): Promise<number> {
    const reason = failure.reason.slice(0, mostReasonChars);
    const owner = withFailure(before, { ...failure, reason });
    await this.#save({ owner });
    return owner.lastFailure?.inARow ?? 1;
  }

  #save(change: Partial<DeviceState>): Promise<void> {
    return this.#inTurn(async () => {
      const state = { ...this.#state, ...change, sequence: this.#state.sequence + 1 };
      await this.#write(state);
      await this.#device.sync();
      this.#state = state;
    });
  }

  #inTurn(write: () => Promise<void>): Promise<void> {
    const turn = this.#last.then(write);
    this.#last = turn.catch(() => {});
    return turn;
  }

  async #write(state: DeviceState): Promise<void> {
    const text = Buffer.from(stringifyDeviceState(state));
    if (text.length > placeBytes) throw new RangeError(`a state of ${text.length} bytes does not fit its place`);
    const memory = alignedMemory(Math.ceil(text.length / blockBytes) * blockBytes);
    memory.set(text);
    const place = state.sequence % places;
    await this.#device.write(memory, this.#device.sizeBytes - areaBytes + place * placeBytes);
  }
}
