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

/** Refusals of kind `expired` of one request without a success of any between them: of the clock, of the credentials, no more. */
const mostRefreshes = 2;

/** How often one request has failed so far. */
interface Failures {
  attempts: number;
  /** Those of `attempts` that use up retries. */
  counted: number;
  /** Refusals of kind `expired` in all, and since a request of the run last succeeded. */
  refusals: number;
  refreshes: number;
  /** When the last of these was told of. */
  refusedMs: number;
}

/** Every request of a run passes here: admission, limit, the only retry loop, and the counters. */
export class Requests {
  readonly #parts: RequestParts;
  readonly #patience: Patience;
  #lastSuccessMs = Number.NEGATIVE_INFINITY;
  /** When the attempt that failed so was begun. */
  readonly #begunMs = new WeakMap<CopyError, number>();
  #answered = false;

  constructor(parts: RequestParts) {
    this.#parts = parts;
    this.#patience = new Patience(parts.limits);
  }

  /**
   * Runs `attempt` until it succeeds, its error is not one that another attempt may cure, or attempts are used up.
   * Throws CopyError `outage` when nothing in the whole run has gone on for `retryForMs`. `owner` is the object on whose
   * behalf it runs. `earlier` is what a first attempt failed with that was begun by `begin`.
   */
  async run<T>(
    owner: Owner,
    kind: RequestKind,
    attempt: () => Promise<T>,
    signal: AbortSignal,
    earlier?: CopyError,
  ): Promise<T> {
    const { metrics } = this.#parts;
    for (let failures: Failures | undefined, first = earlier; ; first = undefined) {
      try {
        if (first) throw first;
        return await this.#once(owner, kind, attempt, signal);
      } catch (error) {
        if (!(error instanceof CopyError) || signal.aborted) throw error;
        failures ??= { attempts: 0, counted: 0, refusals: 0, refreshes: 0, refusedMs: 0 };
        await this.#recover(error, failures, kind, signal);
        metrics.retried(error.kind);
      }
    }
  }

  /** Throws CopyError `outage` where answers that are all well have led nowhere, since `sinceMs`, for `retryForMs`. */
  expectProgress(sinceMs: number, message: string): void {
    const { clock, limits } = this.#parts;
    if (clock.nowMs() - sinceMs > limits.retryForMs) throw outage(new CopyError("protocol", message), limits);
  }

  /** Admits one attempt, waiting for a place and for the limit; the caller makes it, and says how it ended. */
  async begin(owner: Owner, { operation, bodyBytes, bufferBytes }: RequestKind, signal: AbortSignal): Promise<Attempt> {
    const { admission, limiter, metrics } = this.#parts;
    const permit = await admission.acquire(owner, bufferBytes, signal);
    try {
      if (limiter && bodyBytes > 0) metrics.limited((await limiter.take(bodyBytes, signal)) / 1000);
    } catch (error) {
      permit[Symbol.dispose]();
      throw error;
    }
    return this.#attempt(permit, operation);
  }

  /** As `begin`, where there is nothing to wait for; otherwise undefined. */
  tryBegin({ operation, bodyBytes, bufferBytes }: RequestKind): Attempt | undefined {
    const { admission, limiter } = this.#parts;
    if (limiter && bodyBytes > 0 && !limiter.ready) return undefined;
    const permit = admission.tryAcquire(bufferBytes);
    if (!permit) return undefined;
    limiter?.charge(bodyBytes);
    return this.#attempt(permit, operation);
  }

  #attempt(permit: Permit, operation: Operation): Attempt {
    const { admission, metrics, clock } = this.#parts;
    const startedMs = clock.nowMs();
    metrics.inFlight(admission.open);
    return new Attempt((error) => {
      if (error) this.#begunMs.set(error, startedMs);
      const status = this.#judge(error, permit);
      permit[Symbol.dispose]();
      metrics.request(operation, status, (clock.nowMs() - startedMs) / 1000);
      metrics.inFlight(admission.open);
    });
  }

  /** Does what must come before another attempt; throws the error when there is to be none. */
  async #recover(error: CopyError, failures: Failures, { what }: RequestKind, signal: AbortSignal): Promise<void> {
    const { clock, limits, logger } = this.#parts;
    const verdict = verdicts[error.kind];
    if (verdict === "refresh" && this.#mayRefresh(failures)) {
      logger.info("credentials refused, asking anew", { key: what, error: error.message });
      await this.#refresh(error, failures, signal);
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

  /** Refusals add up only while nothing else succeeds: as long as something does, credentials and clock are right. */
  #mayRefresh(failures: Failures): boolean {
    if (this.#lastSuccessMs >= failures.refusedMs) failures.refreshes = 0;
    failures.refusedMs = this.#parts.clock.nowMs();
    return failures.refreshes++ < mostRefreshes;
  }

  /** Resolves when the next attempt has something new to try; an answer to that is progress too. */
  async #refresh(error: CopyError, failures: Failures, signal: AbortSignal): Promise<void> {
    const { source, clock } = this.#parts;
    // Whoever issues credentials must not be asked in a tight loop for an object that is refused again and again.
    const before = failures.refusals++;
    if (before >= mostRefreshes) await clock.sleep(backoffMs(before, clock.random()), signal);
    const nowMs = clock.nowMs();
    const sentMsAgo = nowMs - (this.#begunMs.get(error) ?? nowMs);
    try {
      await source.refresh({ serverTimeMs: error.serverTimeMs, sentMsAgo }, signal);
    } catch (failure) {
      // What was refused, such as our clock, says more than that there is nothing newer.
      if (!(failure instanceof CopyError)) throw failure;
      throw new CopyError(failure.kind, `${error.message}; ${failure.message}`, { cause: failure });
    }
    this.#answered = true;
    this.#patience.answered();
  }

  async #once<T>(owner: Owner, kind: RequestKind, attempt: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const begun = await this.begin(owner, kind, signal);
    try {
      const result = await attempt();
      begun.succeeded();
      return result;
    } catch (error) {
      begun.failed(error, signal);
      throw error;
    }
  }

  /** The status for the metrics; undefined is a success, null an attempt that says nothing of the service. */
  #judge(error: CopyError | undefined | null, permit: Permit): string {
    if (error === null) return "aborted";
    if (error === undefined) {
      this.#answered = true;
      this.#patience.answered();
      this.#lastSuccessMs = this.#parts.clock.nowMs();
      this.#parts.admission.succeeded();
      return "ok";
    }
    if (error.kind === "throttled") this.#parts.admission.throttled(permit);
    if (error.kind !== "unreachable") this.#answered = true;
    if (verdicts[error.kind] !== "retry") this.#patience.answered();
    else if (error.kind === "interrupted" && error.receivedBytes > 0) this.#patience.moved();
    return error.kind;
  }
}

function outage(error: CopyError, { retryForMs }: RetryLimits): CopyError {
  const { message, requestId } = error;
  const patience = retryForMs < 60_000 ? `${retryForMs / 1000} s` : `${Math.round(retryForMs / 6000) / 10} min`;
  return new CopyError("outage", `${message}; nothing has gone on for ${patience} (--retry-for)`, {
    cause: error,
    ...(requestId !== undefined && { requestId }),
  });
}

/** One attempt under way. Ends once. */
export class Attempt {
  readonly #end: (error: CopyError | undefined | null) => void;

  constructor(end: (error: CopyError | undefined | null) => void) {
    this.#end = end;
  }

  succeeded(): void {
    this.#end(undefined);
  }

  /** Bugs and aborts say nothing of the service; the reason of an abort may be another request's failure. */
  failed(error: unknown, signal: AbortSignal): void {
    this.#end(error instanceof CopyError && !signal.aborted ? error : null);
  }
}
