import type { Clock, Counts } from "../types.ts";
import { type CheckpointLimits, CheckpointSchedule } from "./checkpoint-schedule.ts";

/** How often it is asked whether something is due. */
const pollMs = 50;

export interface SyncPorts {
  /** Resolves when what was written before the call is on stable storage. */
  readonly sync: () => Promise<void>;
  /** Bytes written and objects settled so far in this run. */
  readonly done: () => Counts;
  readonly clock: Clock;
}

/** Syncs as often as checkpoints would where none can be kept, so that no more than theirs ever waits in memory. */
export class PeriodicSync {
  readonly #ports: SyncPorts;
  readonly #schedule: CheckpointSchedule;

  constructor(ports: SyncPorts, limits: CheckpointLimits) {
    this.#ports = ports;
    this.#schedule = new CheckpointSchedule(limits, ports.clock.nowMs(), ports.done());
  }

  /** Syncs until the signal aborts; resolves when no sync is under way. Throws what one failed with. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, done, sync } = this.#ports;
    while (await waited(clock, signal)) {
      if (!this.#schedule.due(clock.nowMs(), done())) continue;
      this.#schedule.started(clock.nowMs(), done());
      await sync();
      this.#schedule.ended(clock.nowMs());
    }
  }
}

/** Waits until it is to be asked again; false once the signal has aborted. */
export async function waited(clock: Clock, signal: AbortSignal): Promise<boolean> {
  try {
    await clock.sleep(pollMs, signal);
    return !signal.aborted;
  } catch (error) {
    if (signal.aborted) return false;
    throw error;
  }
}
