import { Device, isInUse } from "./device.ts";
import { readDeviceState } from "./device-state.ts";
import { busy, type LockOptions, sleep, waitingFor } from "./lock.ts";

const pollMs = 500;
/** A predecessor that was ended by force has left no state yet, or has no room for one, and is gone soon. */
const graceMs = 5000;

/**
 * Opens a device for this process alone. Each container has a device node of its own, so that a lock on it tells nothing:
 * who holds the device is one of ours if a state of ours is on it. Throws CopyError `busy` if that one still holds it
 * after `waitMs`, `volume` if it is another's or cannot be opened, or the signal's reason.
 */
export async function claimDevice(path: string, { waitMs, onWait }: LockOptions, signal: AbortSignal): Promise<Device> {
  const startMs = performance.now();
  for (let attempt = 1; ; attempt++) {
    try {
      return await Device.open(path, "fill");
    } catch (error) {
      if (!isInUse(error)) throw error;
      const ours = await isBeingFilled(path);
      const patienceMs = ours ? waitMs : graceMs;
      if (performance.now() - startMs >= patienceMs) throw ours ? busy(path, waitMs) : error;
      if (attempt === 1) onWait(waitingFor(path, patienceMs));
    }
    await sleep(pollMs, signal);
  }
}

async function isBeingFilled(path: string): Promise<boolean> {
  await using device = await Device.open(path, "audit");
  return (await readDeviceState(device)).status === "ours";
}
