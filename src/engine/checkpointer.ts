import type { CheckpointState } from "./checkpoint.ts";
import { fittingCheckpoint } from "./checkpoint-fit.ts";
import { type CheckpointLimits, CheckpointSchedule } from "./checkpoint-schedule.ts";
import { mostOpen, OpenList } from "./open-list.ts";
import type { SyncPorts } from "./periodic-sync.ts";
import { nextPoll } from "./poll.ts";
import { SourceDigest } from "./source-digest.ts";

export interface CheckpointPorts extends SyncPorts {
  /** Whether there is room for the text; undefined where there always is. */
  readonly fits?: (text: string) => boolean;
  /** Puts the text on stable storage in place of the former one. */
  readonly save: (text: string) => Promise<void>;
  /** Milliseconds since the epoch. */
  readonly wallMs: () => number;
  /** Told of each checkpoint: how long its sync and its save took, and the entries that are open in it. */
  readonly onSaved?: (tookMs: number, open: number) => void;
}

export interface CheckpointerOptions {
  readonly ports: CheckpointPorts;
  readonly limits: CheckpointLimits;
  readonly fingerprint: string;
  readonly firstStartedAt: string;
  /** The checkpoint of an earlier run that this one goes on from. */
  readonly from: CheckpointState | undefined;
}

/** What is open, what the listing came to, and a checkpoint of both whenever one is due: one at a time, none after a failure. */
export class Checkpointer {
  readonly list: OpenList;
  readonly digest: SourceDigest;
  readonly from: CheckpointState | undefined;
  readonly #options: CheckpointerOptions;
  readonly #schedule: CheckpointSchedule;
  #begun = false;
  #failed = false;

  constructor(options: CheckpointerOptions) {
    const { ports, limits, from } = options;
    this.#options = options;
    this.from = from;
    this.list = new OpenList(mostOpen, from);
    this.digest = from ? SourceDigest.resume(from.digest) : new SourceDigest();
    this.#schedule = new CheckpointSchedule(limits, ports.clock.nowMs(), ports.done());
  }

  /** Takes checkpoints until the signal aborts; resolves when none is under way. Throws what a sync or a save failed with. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, done } = this.#options.ports;
    this.#begun = true;
    while (await nextPoll(clock, signal)) {
      if (this.#schedule.due(clock.nowMs(), done(), this.list.urgent)) await this.#take();
    }
  }

  /** One more after the end of the work, unless nothing was begun or one has failed. Throws like `run`. */
  async last(): Promise<void> {
    if (this.#begun && !this.#failed) await this.#take();
  }

  async #take(): Promise<void> {
    const { ports, fingerprint, firstStartedAt } = this.#options;
    const { clock, done } = ports;
    const state = this.list.snapshot();
    if (!state) return;
    const digest = this.digest.stateAt(state.frontier);
    const whole = { ...state, fingerprint, firstStartedAt, savedAtMs: ports.wallMs(), digest };
    const text = fittingCheckpoint(whole, ports.fits);
    const startedMs = clock.nowMs();
    this.#schedule.started(startedMs, done());
    try {
      await ports.sync();
      await ports.save(text);
      this.list.saved();
      ports.onSaved?.(clock.nowMs() - startedMs, state.open.length);
    } catch (error) {
      this.#failed = true;
      throw error;
    } finally {
      this.#schedule.ended(clock.nowMs());
    }
  }
}
