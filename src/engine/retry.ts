import { CopyError, type ErrorKind } from "../errors.ts";

export type Verdict = "retry" | "refresh" | "restart-object" | "fail-object" | "fail-run";

/** The whole retry policy; a new kind without a row does not compile. */
export const verdicts = {
  unreachable: "retry",
  interrupted: "retry",
  protocol: "retry",
  server: "retry",
  throttled: "retry",
  outage: "fail-run", // every later request would fail the same way
  expired: "refresh",
  auth: "fail-run",
  credentials: "fail-run",
  identity: "fail-run", // whoever issues credentials was asked again and again already
  source: "fail-run",
  missing: "fail-object",
  rejected: "fail-object",
  changed: "restart-object", // old and new bytes must not mix
  corrupt: "restart-object",
  different: "fail-object",
  unsupported: "fail-object",
  occupied: "fail-object",
  "volume-full": "fail-run", // every later object would fail the same way
  volume: "fail-run",
  busy: "fail-run",
} as const satisfies Record<ErrorKind, Verdict>;

/** Whether an error says nothing about other objects: a verdict on this one, or its retries used up. */
export function isObjectsOwn(error: unknown): error is CopyError {
  if (!(error instanceof CopyError)) return false;
  const verdict = verdicts[error.kind];
  return verdict !== "fail-run" && verdict !== "refresh";
}

/** Base and cap as in the official SDKs' retryers: full jitter over min(200 ms · 2^n, 20 s). */
const baseMs = 200;
const capMs = 20_000;

/** Wait before attempt `failures + 1`; the server's Retry-After is a floor. `random` is uniform in [0, 1). */
export function backoffMs(failures: number, random: number, retryAfterMs = 0): number {
  const ceiling = Math.min(capMs, baseMs * 2 ** Math.min(failures, 30));
  return Math.max(retryAfterMs, random * ceiling);
}

export interface RetryLimits {
  /** Further attempts after the first. */
  readonly retries: number;
  /** Longest time without a success or a byte in the whole run. */
  readonly retryForMs: number;
}

export interface RetryState {
  /** Attempts of this request that have failed and count, the last one included. */
  readonly failures: number;
  readonly sinceProgressMs: number;
}

/**
 * Whether an attempt failed for no fault of its own: while an endpoint that has answered before cannot be reached at all,
 * attempts do not count, and only `retryForMs` ends the outage.
 */
export function isOutage({ kind }: CopyError, answered: boolean): boolean {
  return kind === "unreachable" && answered;
}

/** Whether a request is out of attempts. */
export function isExhausted({ failures, sinceProgressMs }: RetryState, limits: RetryLimits): boolean {
  return failures > limits.retries || sinceProgressMs > limits.retryForMs;
}
