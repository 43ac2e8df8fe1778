import { CopyError } from "../errors.ts";
import type { Clock, Logger, Metrics, ObjectSource, Operation } from "../types.ts";
import type { Admission, Owner, Permit } from "./admission.ts";
import type { Limiter } from "./limiter.ts";
import { backoffMs, isExhausted, type RetryLimits, verdicts } from "./retry.ts";

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

/** Every request of a run passes here: admission, limit, the only retry loop, and the counters. */
export class Requests {
  readonly #parts: RequestParts;
  #lastProgressMs: number;
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
    const { source, clock, metrics, limits, logger } = this.#parts;
    for (let failures = 0, refreshes = 0; ; ) {
      try {
        return await this.#once(owner, kind, attempt, signal);
      } catch (error) {
        if (!(error instanceof CopyError) || signal.aborted) throw error;
        const verdict = verdicts[error.kind];
        if (verdict === "refresh" && refreshes++ < mostRefreshes) {
          logger.info("credentials refused, asking anew", { key: kind.what, error: error.message });
          await source.refresh(error, signal);
        } else if (verdict === "retry") {
          failures++;
          const sinceProgressMs = clock.nowMs() - this.#lastProgressMs;
          if (isExhausted(error, { failures, sinceProgressMs, answered: this.#answered }, limits)) throw error;
          const waitMs = backoffMs(failures - 1, clock.random(), error.retryAfterMs);
          logger.debug("request failed, trying again", { key: kind.what, error: error.message, failures, waitMs });
          await clock.sleep(waitMs, signal);
        } else {
          throw error;
        }
        metrics.retried(error.kind);
      }
    }
  }

  async #once<T>(owner: Owner, kind: RequestKind, attempt: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const { admission, limiter, metrics, clock } = this.#parts;
    using permit = await admission.acquire(owner, kind.bufferBytes, signal);
    if (limiter && kind.bodyBytes > 0) metrics.limited((await limiter.take(kind.bodyBytes, signal)) / 1000);
    const startedMs = clock.nowMs();
    metrics.inFlight(admission.open);
    try {
      const result = await attempt();
      this.#answered = true;
      this.#lastProgressMs = clock.nowMs();
      metrics.request(kind.operation, "ok", (this.#lastProgressMs - startedMs) / 1000);
      admission.succeeded();
      return result;
    } catch (error) {
      this.#failed(error, kind, permit);
      metrics.request(kind.operation, statusOf(error), (clock.nowMs() - startedMs) / 1000);
      throw error;
    }
  }

  #failed(error: unknown, kind: RequestKind, permit: Permit): void {
    if (!(error instanceof CopyError)) return;
    if (error.kind === "throttled") this.#parts.admission.throttled(permit);
    if (error.kind !== "unreachable") this.#answered = true;
    const unused = kind.bodyBytes - error.receivedBytes;
    if (unused > 0) this.#parts.limiter?.refund(unused);
  }
}

function statusOf(error: unknown): string {
  return error instanceof CopyError ? error.kind : "aborted";
}
