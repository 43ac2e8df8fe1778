import type { Config } from "../config/config.ts";
import { exitCodes } from "../engine/exit-code.ts";
import type { OwnerRecord } from "../volume/owner-format.ts";
import { beginAttempt, recordFailure } from "../volume/owner-record.ts";
import { type DirectoryIdentity, expectSame, identify } from "../volume/same-directory.ts";
import type { PreparedTarget } from "../volume/target.ts";
import { describeSource, fingerprint } from "./fingerprint.ts";
import type { RunHost } from "./host.ts";

/** An attempt at a target. */
export interface AttemptNote {
  /** Notes on the target how this attempt ended; how often in a row it ended so is the answer. */
  failed(failure: {
    readonly at: string;
    readonly exitCode: number;
    readonly kind: string;
    readonly reason: string;
  }): Promise<number>;
  /** Lets others at the target, where they are kept off until all is noted. */
  release?(): Promise<void>;
}

/** Codes of runs that leave no trace where they have made nothing yet. */
const untold: readonly number[] = [exitCodes.configuration, exitCodes.interrupted, exitCodes.terminated];

/**
 * Whether an attempt that has made nothing notes how it ended. Who does not hold failures expects no loop of attempts, and
 * gets no note that outlives such a run.
 */
export function isToldOf({ dryRun, effort }: Config, exitCode: number): boolean {
  return !dryRun && effort.failHoldMs > 0 && !untold.includes(exitCode);
}

/** Tells the log what an earlier attempt at the same target left. */
export function tellOfEarlier(record: OwnerRecord, config: Config, host: RunHost): void {
  const last = record.lastFailure;
  host.logger.info("an earlier attempt left this volume unfinished", {
    attempts: record.attempts,
    firstStartedAt: record.firstStartedAt,
    source: record.source,
    sameWork: record.fingerprint === fingerprint(config),
    ...(last && { lastExitCode: last.exitCode, lastFailure: last.reason, failedInARow: last.inARow }),
  });
}

/** This attempt in the owner record. */
export class Attempt implements AttemptNote {
  readonly startedEmpty: boolean;
  readonly filledSinceMs: number | undefined;
  readonly firstStartedAt: string;
  readonly #config: Config;
  readonly #target: PreparedTarget;
  readonly #previous: OwnerRecord | undefined;
  readonly #lock: AsyncDisposable;
  #record: OwnerRecord | undefined;
  #identity: DirectoryIdentity | undefined;

  constructor(config: Config, target: PreparedTarget, previous: OwnerRecord | undefined, lock: AsyncDisposable) {
    this.#config = config;
    this.#target = target;
    this.#previous = previous;
    this.#lock = lock;
    this.startedEmpty = previous?.startedEmpty ?? target.foreignNames.length === 0;
    const isSameWork = previous?.fingerprint === fingerprint(config);
    const sinceMs = isSameWork ? previous.filledSinceMs : target.abilities?.startedCtimeMs;
    this.filledSinceMs = this.startedEmpty ? undefined : sinceMs;
    this.firstStartedAt = previous?.firstStartedAt ?? new Date().toISOString();
  }

  /** To be called before the first file. */
  async begin(): Promise<void> {
    this.#identity = await identify(this.#target.root);
    this.#record = await beginAttempt(this.#target.root, this.#fresh(), this.#previous);
  }

  async failed(failure: Parameters<AttemptNote["failed"]>[0]): Promise<number> {
    const record = this.#record ?? this.#beforeFirstFile(failure.exitCode);
    if (!record) return 1;
    // What is not the volume any more is nobody's place for our record.
    if (this.#identity) await expectSame(this.#target.root, this.#identity);
    this.#record = await recordFailure(this.#target.root, record, failure);
    return this.#record.lastFailure?.inARow ?? 1;
  }

  async release(): Promise<void> {
    await this.#lock[Symbol.asyncDispose]();
  }

  #fresh(): Pick<OwnerRecord, "fingerprint" | "source" | "startedEmpty" | "filledSinceMs" | "firstStartedAt"> {
    const { startedEmpty, filledSinceMs, firstStartedAt } = this;
    return {
      fingerprint: fingerprint(this.#config),
      source: describeSource(this.#config),
      startedEmpty,
      filledSinceMs,
      firstStartedAt,
    };
  }

  /** What is on the volume, if anything, is still an earlier attempt's: its record goes on to say whose it is. */
  #beforeFirstFile(exitCode: number): OwnerRecord | undefined {
    const isOurs = this.#previous !== undefined || this.#target.foreignNames.length === 0;
    if (!isOurs || !isToldOf(this.#config, exitCode)) return undefined;
    const before = this.#previous ?? { ...this.#fresh(), attempts: 0, lastFailure: undefined };
    return { ...before, attempts: before.attempts + 1 };
  }
}
