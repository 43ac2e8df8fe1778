import { CopyError } from "../errors.ts";
import type { Clock, Logger, Metrics, ObjectSource, Operation } from "../types.ts";
import type { Admission, Owner, Permit } from "./admission.ts";
import type { Limiter } from "./limiter.ts";
import { Patience } from "./patience.ts";
import { backoffMs, isOutage, type RetryLimits, verdicts } from "./retry.ts";

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

/** Consecutive refusals of kind `expired` that fresh credentials and the server's clock may cure. */
const mostRefreshes = 2;

/** How often one request has failed so far. */
interface Failures {
  attempts: number;
  /** Those of `attempts` that use up retries. */
  counted: number;
  refreshes: number;
}

/** Every request of a run passes here: admission, limit, the only retry loop, and the counters. */
export class Requests {
  readonly #parts: RequestParts;
  readonly #patience: Patience;
  #answered = false;

  constructor(parts: RequestParts) {
    this.#parts = parts;
    this.#patience = new Patience(parts.limits);
  }

  /**
   * Runs `attempt` until it succeeds, its error is not one that another attempt may cure, or attempts are used up.
   * Throws CopyError `outage` when nothing in the whole run has gone on for `retryForMs`. `owner` is the object on whose
   * behalf it runs.
   */
  async run<T>(owner: Owner, kind: RequestKind, attempt: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const { metrics } = this.#parts;
    for (let failures: Failures | undefined; ; ) {
      try {
        return await this.#once(owner, kind, attempt, signal);
      } catch (error) {
        if (!(error instanceof CopyError) || signal.aborted) throw error;
        failures ??= { attempts: 0, counted: 0, refreshes: 0 };
        await this.#recover(error, failures, kind, signal);
        metrics.retried(error.kind);
      } finally {
        metrics.inFlight(this.#parts.admission.open);
      }
    }
  }

  /** Does what must come before another attempt; throws the error when there is to be none. */
  async #recover(error: CopyError, failures: Failures, { what }: RequestKind, signal: AbortSignal): Promise<void> {
    const { source, clock, limits, logger } = this.#parts;
    const verdict = verdicts[error.kind];
    if (verdict === "refresh" && failures.refreshes++ < mostRefreshes) {
      logger.info("credentials refused, asking anew", { key: what, error: error.message });
      await source.refresh(error, signal).catch((failure: unknown) => {
        // What was refused, such as our clock, says more than that there is nothing newer.
        if (!(failure instanceof CopyError)) throw failure;
        throw new CopyError(failure.kind, `${error.message}; ${failure.message}`, { cause: failure });
      });
      return;
    }
    if (verdict !== "retry") throw error;
    failures.attempts++;
    if (!isOutage(error, this.#answered)) failures.counted++;
    if (this.#patience.failed(clock.nowMs())) throw outage(error, limits);
    if (failures.counted > limits.retries) throw this.#patience.gaveUp(clock.nowMs()) ? outage(error, limits) : error;
    // A server may ask for more patience than we have.
    const retryAfterMs = Math.min(error.retryAfterMs ?? 0, limits.retryForMs);
    const waitMs = backoffMs(failures.attempts - 1, clock.random(), retryAfterMs);
    logger.debug("request failed, trying again", {
      key: what,
      error: error.message,
      failures: failures.attempts,
      waitMs,
    });
    await clock.sleep(waitMs, signal);
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
      this.#answered = true;
      this.#patience.answered();
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
    if (verdicts[error.kind] !== "retry") this.#patience.answered();
    else if (error.kind === "interrupted" && error.receivedBytes > 0) this.#patience.moved();
    return error.kind;
  }
}

function outage(error: CopyError, { retryForMs }: RetryLimits): CopyError {
  const { message, requestId } = error;
  const minutes = Math.round(retryForMs / 6000) / 10;
  return new CopyError("outage", `${message}; nothing has gone on for ${minutes} min (--retry-for)`, {
    cause: error,
    ...(requestId !== undefined && { requestId }),
  });
}
