import { CopyError } from "../errors.ts";
import type { Clock, Logger, Metrics, ObjectSource, Operation } from "../types.ts";
import type { Admission, Owner, Permit } from "./admission.ts";
import type { Limiter } from "./limiter.ts";
import { backoffMs, isExhausted, isOutage, type RetryLimits, verdicts } from "./retry.ts";

export interface RequestParts {
  readonly source: ObjectSource;
  readonly admission: Admission;
  readonly limiter: Limiter | undefined;
  readonly limits: RetryLimits;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

export interface RequestKind {
  readonly operation: Operation;
  /** For messages: the key, or what else is asked for. */
  readonly what: string;
  /** Length of the answer's body where it is known before. */
  readonly bodyBytes: number;
  /** Buffers that the request holds while it is open. */
  readonly bufferBytes: number;
}

/** Refusals of kind `expired` without a success of any request between them: of the clock, of the credentials, and no more. */
const mostRefreshes = 2;

/** How often one request has failed so far. */
interface Failures {
  attempts: number;
  /** Those of `attempts` that use up retries. */
  counted: number;
  /** Refusals of kind `expired` in all, and since a request of the run last succeeded. */
  refusals: number;
  refreshes: number;
  readonly sinceMs: number;
  /** When the last of them was sent. */
  sentMs: number;
}

/** Every request of a run passes here: admission, limit, the only retry loop, and the counters. */
export class Requests {
  readonly #parts: RequestParts;
  #lastProgressMs: number;
  #lastSuccessMs = Number.NEGATIVE_INFINITY;
  #answered = false;

  constructor(parts: RequestParts) {
    this.#parts = parts;
    this.#lastProgressMs = parts.clock.nowMs();
  }

  /**
   * Runs `attempt` until it succeeds, its error is not one that another attempt may cure, or attempts are used up.
   * `owner` is the object on whose behalf it runs.
   */
  async run<T>(owner: Owner, kind: RequestKind, attempt: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const { clock, metrics } = this.#parts;
    let sentMs = 0;
    const send = (): Promise<T> => {
      sentMs = clock.nowMs();
      return attempt();
    };
    for (let failures: Failures | undefined; ; ) {
      try {
        return await this.#once(owner, kind, send, signal);
      } catch (error) {
        if (!(error instanceof CopyError) || signal.aborted) throw error;
        failures ??= { attempts: 0, counted: 0, refusals: 0, refreshes: 0, sinceMs: clock.nowMs(), sentMs };
        if (this.#lastSuccessMs > failures.sentMs) failures.refreshes = 0;
        failures.sentMs = sentMs;
        await this.#recover(error, failures, kind, signal);
        metrics.retried(error.kind);
      } finally {
        metrics.inFlight(this.#parts.admission.open);
      }
    }
  }

  /** Does what must come before another attempt; throws the error when there is to be none. */
  async #recover(error: CopyError, failures: Failures, { what }: RequestKind, signal: AbortSignal): Promise<void> {
    const { clock, limits, logger } = this.#parts;
    const verdict = verdicts[error.kind];
    if (verdict === "refresh" && failures.refreshes++ < mostRefreshes) {
      logger.info("credentials refused, asking anew", { key: what, error: error.message });
      await this.#refresh(error, failures, signal);
      return;
    }
    if (verdict !== "retry") throw error;
    failures.attempts++;
    if (!isOutage(error, this.#answered)) failures.counted++;
    const sinceProgressMs = clock.nowMs() - Math.max(this.#lastProgressMs, failures.sinceMs);
    if (isExhausted({ failures: failures.counted, sinceProgressMs }, limits)) throw error;
    const waitMs = backoffMs(failures.attempts - 1, clock.random(), error.retryAfterMs);
    logger.debug("request failed, trying again", {
      key: what,
      error: error.message,
      failures: failures.attempts,
      waitMs,
    });
    await clock.sleep(waitMs, signal);
  }

  /** Resolves when the next attempt has something new to try; an answer to that is progress too. */
  async #refresh(error: CopyError, failures: Failures, signal: AbortSignal): Promise<void> {
    const { source, clock } = this.#parts;
    const { sentMs } = failures;
    // Whoever issues credentials must not be asked in a tight loop for an object that is refused again and again.
    const before = failures.refusals++;
    if (before >= mostRefreshes) await clock.sleep(backoffMs(before, clock.random()), signal);
    try {
      await source.refresh({ serverTimeMs: error.serverTimeMs, sentMsAgo: clock.nowMs() - sentMs }, signal);
    } catch (failure) {
      // What was refused, such as our clock, says more than that there is nothing newer.
      if (!(failure instanceof CopyError)) throw failure;
      throw new CopyError(failure.kind, `${error.message}; ${failure.message}`, { cause: failure });
    }
    this.#progressed();
  }

  async #once<T>(owner: Owner, kind: RequestKind, attempt: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const { admission, limiter, metrics, clock } = this.#parts;
    using permit = await admission.acquire(owner, kind.bufferBytes, signal);
    if (limiter && kind.bodyBytes > 0) metrics.limited((await limiter.take(kind.bodyBytes, signal)) / 1000);
    const startedMs = clock.nowMs();
    metrics.inFlight(admission.open);
    let status = "aborted";
    try {
      const result = await attempt();
      this.#progressed();
      this.#lastSuccessMs = clock.nowMs();
      admission.succeeded();
      status = "ok";
      return result;
    } catch (error) {
      // The reason of an abort may be another request's failure.
      if (error instanceof CopyError && !signal.aborted) status = this.#failed(error, permit);
      throw error;
    } finally {
      metrics.request(kind.operation, status, (clock.nowMs() - startedMs) / 1000);
    }
  }

  #failed(error: CopyError, permit: Permit): string {
    if (error.kind === "throttled") this.#parts.admission.throttled(permit);
    if (error.kind !== "unreachable") this.#answered = true;
    if (error.receivedBytes > 0) this.#progressed();
    return error.kind;
  }

  #progressed(): void {
    this.#answered = true;
    this.#lastProgressMs = this.#parts.clock.nowMs();
  }
}
