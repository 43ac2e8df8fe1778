import type { Clock, Counts } from "../types.ts";
import { type CheckpointLimits, CheckpointSchedule } from "./checkpoint-schedule.ts";
import { nextPoll } from "./poll.ts";

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
    while (await nextPoll(clock, signal)) {
      if (!this.#schedule.due(clock.nowMs(), done())) continue;
      this.#schedule.started(clock.nowMs(), done());
      await sync();
      this.#schedule.ended(clock.nowMs());
    }
  }
}
